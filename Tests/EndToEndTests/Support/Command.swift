// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// A program run to its end, with a limit on its time. Its descriptors are its own three and nothing else of this
/// process, and it leads a process group, which is killed as a whole when time is up.
struct Command: Sendable {
    var arguments: [String]
    var input: Data = Data()
    /// Added to this process's environment.
    var environment: [String: String] = [:]
    /// When it is at its end, the program is killed and `run` throws.
    var timeout: Duration = .seconds(60)

    init(_ arguments: [String], timeout: Duration = .seconds(60)) {
        self.arguments = arguments
        self.timeout = timeout
    }

    /// Runs it; a program that fails is a result like any other.
    func run() async throws -> CommandResult {
        let input = try TemporaryFile(holding: self.input)
        return try await run(standardInput: input.descriptor)
    }

    /// Runs it with this on its standard input.
    func run(on input: Data) async throws -> CommandResult {
        var command = self
        command.input = input
        return try await command.run()
    }

    /// As `run`, with a descriptor of the caller's for standard input.
    func run(standardInput: Int32) async throws -> CommandResult {
        // Files and not pipes: a daemon that the program left running may hold them as long as it likes.
        let output = try TemporaryFile()
        let errors = try TemporaryFile()
        let deadline = ContinuousClock.now + timeout
        let pid = try spawn(standardInput, output.descriptor, errors.descriptor)
        let status: Int32? = await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: Self.wait(for: pid, until: deadline)) }
        }
        let result = CommandResult(
            arguments: arguments, status: status ?? -1, output: try output.contents(), errors: try errors.contents())
        guard status != nil else { throw CommandFailure(result: result, timeout: timeout) }
        return result
    }

    /// Runs it, and throws with its output if it fails.
    @discardableResult
    func succeed() async throws -> CommandResult {
        let result = try await run()
        guard result.status == 0 else { throw CommandFailure(result: result, timeout: nil) }
        return result
    }

    private func spawn(_ descriptors: Int32...) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (number, descriptor) in descriptors.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(number))
        }
        for name in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
            if let open = Int32(name), open > 2 { posix_spawn_file_actions_addclose(&actions, open) }
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var noSignals = sigset_t()
        sigemptyset(&noSignals)
        var allSignals = sigset_t()
        sigfillset(&allSignals)
        posix_spawnattr_setsigmask(&attributes, &noSignals)
        posix_spawnattr_setsigdefault(&attributes, &allSignals)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))

        let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }.map { "\($0)=\($1)" }
        var argumentPointers = arguments.map { strdup($0) } + [nil]
        var variablePointers = variables.map { strdup($0) } + [nil]
        defer { (argumentPointers + variablePointers).forEach { free($0) } }
        var pid: pid_t = 0
        let error = posix_spawnp(&pid, arguments[0], &actions, &attributes, &argumentPointers, &variablePointers)
        guard error == 0 else { throw POSIXError(POSIXErrorCode(rawValue: error) ?? .EINVAL) }
        return pid
    }

    /// The exit status as a shell has it, or nil if it had to be killed.
    private static func wait(for pid: pid_t, until deadline: ContinuousClock.Instant) -> Int32? {
        var status: Int32 = 0
        while waitpid(pid, &status, WNOHANG) == 0 {
            if ContinuousClock.now > deadline {
                kill(-pid, SIGKILL)
                waitpid(pid, &status, 0)
                return nil
            }
            usleep(2000)
        }
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : 128 + signal
    }
}
