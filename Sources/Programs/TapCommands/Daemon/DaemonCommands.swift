// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Dataplane
import Glibc
import TapControl
import TapModel

/// `virt-tap purge`.
struct PurgeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "purge",
        abstract: "Remove everything that virt-tap has put into the kernel.",
        discussion: "Without --now, purge fails while virt-tapd runs, which would put everything back at once.")

    @Flag(help: "Let a running virt-tapd remove it and pause until `systemctl reload virt-tapd`.")
    var now = false

    @OptionGroup var paths: PathOptions

    /// How long virt-tapd may take to answer. It may have hundreds of links to remove, and needs about 10 ms for each.
    private static let timeout: Duration = .seconds(120)

    func run() throws {
        let directory = paths.runtimeDirectory
        let lock: DaemonLock
        do throws(ControlError) {
            try directory.create()
            lock = try DaemonLock(in: directory)
        } catch .alreadyRunning(_, let pid) {
            return try askDaemon(pid: pid)
        } catch {
            throw CommandFailure(.failure, "\(error)")
        }
        // The lock is held to the end, so that no daemon starts meanwhile.
        defer { withExtendedLifetime(lock) {} }
        let removed: Int
        do {
            removed = try KernelDataplane(bpffs: paths.bpffs).purge()
        } catch {
            throw CommandFailure(.failure, error.message.printable)
        }
        try Output.report(removed: removed, paused: false)
    }

    private func askDaemon(pid: Int32?) throws {
        guard now else {
            throw CommandFailure(
                .failure,
                "virt-tapd\(pid.map { " (process \($0))" } ?? "") is running and would put everything back: stop it first, or use"
                    + " `virt-tap purge --now`, which removes everything and pauses virt-tapd until it is reloaded")
        }
        let response: ControlResponse
        do {
            response = try ControlClient(path: paths.runtimeDirectory.controlSocket).send(.purge, within: Self.timeout).accepted()
        } catch {
            throw CommandFailure(.failure, "\(error)")
        }
        try Output.report(removed: response.removed ?? 0, paused: true)
    }
}

extension Output {
    fileprivate static func report(removed count: Int, paused: Bool) throws {
        let what =
            count == 0 ? "nothing to remove: virt-tap has nothing in the kernel" : "removed \(count) attachment\(count == 1 ? "" : "s")"
        try write(what + (paused ? "; virt-tapd is paused until `systemctl reload virt-tapd`" : "") + "\n")
    }
}

/// `virt-tap reload`, which `systemctl reload virt-tapd` runs: it fails if the file is invalid.
struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Make virt-tapd read its configuration again, and report errors in it.",
        discussion: """
            An invalid file changes nothing; its errors are printed as FILE:LINE: message. reload also ends the pause of \
            `virt-tap purge --now`. Exit codes: 0 the configuration is in use; 1 failed, or no answer within a minute; \
            3 virt-tapd is not running; 78 the configuration is invalid.
            """)

    @OptionGroup var paths: PathOptions

    /// How long virt-tapd may take to answer. It may be busy with taps first, and waits some seconds while a group is looked up.
    private static let timeout: Duration = .seconds(60)

    func run() throws {
        let response: ControlResponse
        do throws(ControlError) {
            response = try ControlClient(path: paths.runtimeDirectory.controlSocket).send(.reload, within: Self.timeout)
        } catch .notRunning(let path) {
            throw CommandFailure(
                .daemonNotRunning,
                "virt-tapd is not running (nobody listens at \(path.printable)); it reads the configuration when it starts")
        } catch {
            throw CommandFailure(.failure, "\(error)")
        }
        guard let error = response.error else {
            for line in response.lines { Output.warn(line.printable) }
            // For people on a terminal. The journal has the message of virt-tapd.
            if isatty(STDOUT_FILENO) == 1 { print("\(paths.config.printable): loaded") }
            return
        }
        // virt-tapd has logged these lines, so they are in the journal already.
        if !Self.isJournal { for line in response.lines { Output.diagnose(line) } }
        Output.error(error.printable)
        throw CommandFailure(response.reason == .configInvalid || response.reason == .configStale ? .configuration : .failure)
    }

    /// Whether standard error is the journal, according to the environment that systemd sets.
    private static var isJournal: Bool {
        var status = stat()
        guard let stream = getenv("JOURNAL_STREAM"), fstat(STDERR_FILENO, &status) == 0 else { return false }
        return String(cString: stream) == "\(status.st_dev):\(status.st_ino)"
    }
}
