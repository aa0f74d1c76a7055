// SPDX-License-Identifier: LGPL-2.1-or-later

import FoundationEssentials
import TapModel

/// `status --json`.
enum StatusJSON {
    /// Sorted keys, two spaces, a newline at the end: two documents can be compared with diff.
    static func text(_ document: StatusDocument) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(document), as: UTF8.self) + "\n"
    }
}
