// SPDX-License-Identifier: LGPL-2.1-or-later

import TapXML

/// What checking one document came to.
struct CheckReport: Equatable {
    /// The worst decides the exit code.
    enum Outcome: Int, Comparable {
        case good
        /// Something in it does not work.
        case bad
        /// It is a configuration, and a bad one.
        case badConfiguration

        static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    var outcome: Outcome
    /// Results, for standard output.
    var lines: [String]
    /// What is wrong, for standard error: `FILE:LINE: message`.
    var diagnostics: [String]

    init(_ outcome: Outcome, lines: [String] = [], diagnostics: [String] = []) {
        self.outcome = outcome
        self.lines = lines
        self.diagnostics = diagnostics
    }

    static func diagnostics(_ list: [Diagnostic], in file: String) -> [String] {
        list.map { "\(file):" + ($0.line.map { "\($0):" } ?? "") + " \($0.withoutLine)" }
    }

    /// What is well written and does nothing here; `isBad` when nothing would be copied because of it.
    mutating func note(_ text: String, in file: String, isBad: Bool) {
        lines.append("\(file): note: \(text)")
        if isBad { outcome = max(outcome, .bad) }
    }
}
