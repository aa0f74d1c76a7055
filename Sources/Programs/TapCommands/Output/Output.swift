// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapModel
import TapSystem

/// Writes results to standard output and everything else to standard error.
enum Output {
    /// Writes `text` to standard output unchanged; it brings its own newlines.
    /// - Throws: `CommandFailure` when nobody reads the other end any more or the disk is full.
    static func write(_ text: String) throws(CommandFailure) {
        guard WholeWrite.write(text, to: STDOUT_FILENO) else {
            throw CommandFailure(.failure, "cannot write to standard output: \(ErrorText.of(errno))")
        }
    }

    /// Writes `FILE:LINE: message` to standard error, as compilers do, so that editors can jump to the line.
    static func diagnose(_ line: String) { WholeWrite.write("\(line.inert)\n", to: STDERR_FILENO) }

    /// Writes one line to standard error, with the program's name in front.
    static func error(_ text: String) { WholeWrite.write("virt-tap: \(text.inert)\n", to: STDERR_FILENO) }

    /// Writes a warning to standard error: the command goes on.
    static func warn(_ text: String) { error("warning: \(text)") }
}

/// Ends the command with an exit code and lines on standard error.
struct CommandFailure: Error, Hashable {
    /// The exit codes that scripts may rely on.
    enum Code: Int32 {
        /// The command failed, or the user is not allowed to run it.
        case failure = 1
        /// `status --check` found a tap that does not work, or `set` wrote one that does not.
        case unhealthy = 2
        /// `status` found no daemon.
        case daemonNotRunning = 3
        /// `hook`: a required tap is not in place, and the domain must not start.
        case refused = 10
        /// The command line is invalid.
        case usage = 64
        /// The configuration is invalid.
        case configuration = 78
    }

    var code: Code
    /// Each is one line for standard error; empty when everything has been written already.
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

/// Describes the terminal on standard output, if it is one.
struct Terminal: Hashable {
    var isTerminal: Bool
    /// Width in columns; `nil`: lines may have any length.
    var width: Int?
    /// Height in rows; `nil`: not limited.
    var height: Int?
    var isColoured: Bool

    /// Standard output is a file or a pipe; also used in tests.
    static let none = Terminal(isTerminal: false, width: nil, isColoured: false)

    static func current() -> Terminal {
        guard isatty(1) == 1 else { return .none }
        var size = winsize()
        let hasSize = ioctl(1, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 && size.ws_row > 0
        let term = variable("TERM") ?? ""
        // https://no-color.org: set to something else than the empty string.
        let isColoured = (variable("NO_COLOR") ?? "").isEmpty && term != "dumb" && !term.isEmpty
        return Terminal(
            isTerminal: true, width: hasSize ? Int(size.ws_col) : nil, height: hasSize ? Int(size.ws_row) : nil, isColoured: isColoured)
    }

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}

/// The colours of the output, as SGR codes of ECMA-48.
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

/// Words for commands that a message tells people to run.
enum CommandWord {
    /// The domain's name if a shell needs no quotes for it, else `DOMAIN`: nobody may paste `$(id)` from our output.
    static func domain(_ name: String) -> String {
        let isPlain = name.unicodeScalars.allSatisfy {
            $0.isASCII && ($0.properties.isAlphabetic || $0.properties.numericType != nil || "-_.".unicodeScalars.contains($0))
        }
        return isPlain && !name.hasPrefix("-") && !name.isEmpty ? name : "DOMAIN"
    }
}
