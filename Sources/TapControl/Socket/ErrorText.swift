// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// The system's words for an errno value.
enum ErrorText {
    static func of(_ code: Int32) -> String {
        guard let text = strerror(code) else { return "error \(code)" }
        return "\(String(cString: text)) (errno \(code))"
    }
}
