// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapModel
import TapSystem

/// Standard output for results, standard error for everything else.
enum Output {
    /// Writes as it is; the text ends its own lines.
    /// - Throws: `CommandFailure` when the other end is gone or the disk is full.
    static func write(_ text: String) throws(CommandFailure) {
        guard WholeWrite.write(text, to: STDOUT_FILENO) else { throw CommandFailure(.failure, "standard output: \(ErrorText.of(errno))") }
    }

    /// One line about a place in a document, as compilers write it, so that editors find the place: `FILE:LINE: message`.
    static func diagnose(_ line: String) { WholeWrite.write("\(line.inert)\n", to: STDERR_FILENO) }

    /// One line for people, which says who speaks.
    static func complain(_ text: String) { WholeWrite.write("virt-tap: \(text.inert)\n", to: STDERR_FILENO) }

    /// What does not keep the command from what it was told.
    static func warn(_ text: String) { complain("warning: \(text)") }
}

/// How the command ends when it is not done: what is said on standard error, and the exit code.
struct CommandFailure: Error, Hashable {
    /// The exit codes that scripts may rely on.
    enum Code: Int32 {
        /// It failed, or is not allowed.
        case failure = 1
        /// `status --check` found a tap that does not work; `set` wrote one that does not.
        case unhealthy = 2
        /// `status` found no daemon.
        case daemonNotRunning = 3
        /// `hook`: a required tap cannot be placed, and the domain is not to start.
        case refused = 10
        /// The command line is wrong.
        case usage = 64
        /// The configuration is wrong.
        case configuration = 78
    }

    var code: Code
    /// Each is one line; empty when all has been said.
    var lines: [String]

    init(_ code: Code, _ line: String) {
        self.code = code
        lines = [line]
    }

    init(_ code: Code, lines: [String] = []) {
        self.code = code
        self.lines = lines
    }
}

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

/// The few colours of the output: SGR codes of ECMA-48.
enum Colour: String {
    case red = "31"
    case green = "32"
    case yellow = "33"
    case cyan = "36"
    case faint = "2"
    case bold = "1"

    func paint(_ text: String) -> String { "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" }

    static func of(_ state: TapState) -> Colour {
        switch state {
        case .active: .green
        case .degraded, .unsupported: .yellow
        case .failed, .denied: .red
        case .pending: .cyan
        case .disabled: .faint
        }
    }
}

/// Names in commands that people copy.
enum CommandWord {
    /// Only a name that a shell takes as it is may stand there.
    static func domain(_ name: String) -> String {
        let isPlain = name.unicodeScalars.allSatisfy {
            $0.isASCII && ($0.properties.isAlphabetic || $0.properties.numericType != nil || "-_.".unicodeScalars.contains($0))
        }
        return isPlain && !name.hasPrefix("-") && !name.isEmpty ? name : "DOMAIN"
    }
}
