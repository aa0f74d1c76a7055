// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// What standard output is.
struct Terminal: Hashable {
    var isTerminal: Bool
    /// Columns; `nil` when lines may be as long as they like.
    var width: Int?
    /// Rows; `nil` when there is no end to them.
    var height: Int?
    var isColoured: Bool

    /// A file, a pipe, or a test.
    static let none = Terminal(isTerminal: false, width: nil, isColoured: false)

    static func current() -> Terminal {
        guard isatty(1) == 1 else { return .none }
        var size = winsize()
        let known = ioctl(1, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 && size.ws_row > 0
        let term = variable("TERM") ?? ""
        // https://no-color.org: present and not empty.
        let isColoured = (variable("NO_COLOR") ?? "").isEmpty && term != "dumb" && !term.isEmpty
        return Terminal(
            isTerminal: true, width: known ? Int(size.ws_col) : nil, height: known ? Int(size.ws_row) : nil, isColoured: isColoured)
    }

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
