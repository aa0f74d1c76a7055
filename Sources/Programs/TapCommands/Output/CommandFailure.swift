// SPDX-License-Identifier: LGPL-2.1-or-later

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
