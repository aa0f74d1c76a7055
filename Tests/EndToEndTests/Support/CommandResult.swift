// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// What a program said and how it ended.
struct CommandResult: Sendable {
    let arguments: [String]
    /// The exit code, or 128 and the signal's number.
    let status: Int32
    let output: Data
    let errors: Data

    /// Standard output as text, without the last line's end.
    var text: String { Self.text(output) }
    var errorText: String { Self.text(errors) }
    var lines: [String] { text.split(separator: "\n").map(String.init) }

    private static func text(_ data: Data) -> String {
        let text = String(decoding: data, as: UTF8.self)
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }
}
