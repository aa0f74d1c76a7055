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
        abstract: "Removes everything that virt-tap has put into the kernel.",
        discussion: "Refuses while a daemon runs, since that would put it back at once.")

    @Flag(help: "Make a running daemon let go and pause until it is reloaded (systemctl reload virt-tapd).")
    var now = false

    @OptionGroup var paths: PathOptions

    /// The daemon may have hundreds of links to remove, some 10 ms each.
    private static let patience: Duration = .seconds(120)

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
        // Held to the end, so that no daemon starts in between.
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
                    + " `virt-tap purge --now`, which makes it let go and pause until it is reloaded")
        }
        let response: ControlResponse
        do {
            response = try ControlClient(path: paths.runtimeDirectory.controlSocket).send(.purge, within: Self.patience).accepted()
        } catch {
            throw CommandFailure(.failure, "\(error)")
        }
        try Output.report(removed: response.removed ?? 0, paused: true)
    }
}

extension Output {
    fileprivate static func report(removed count: Int, paused: Bool) throws {
        let what = count == 0 ? "nothing of virt-tap's was in the kernel" : "removed \(count) attachment\(count == 1 ? "" : "s")"
        try write(what + (paused ? "; virt-tapd pauses until `systemctl reload virt-tapd`" : "") + "\n")
    }
}

/// `virt-tap reload`: what `systemctl reload virt-tapd` runs, so that a bad file makes it fail.
struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Has the daemon read its configuration again, and says whether it was taken.",
        discussion: """
            A file that cannot be used changes nothing; what is wrong with it is said as FILE:LINE: message. Also ends the pause of \
            `virt-tap purge --now`. Exit codes: 0 the configuration is in force; 1 it failed, or there is no answer \
            within a minute; 3 the daemon is not running; 78 the configuration is bad.
            """)

    @OptionGroup var paths: PathOptions

    /// The daemon may have taps to see to before it reads the file, and waits some seconds for a group that other hosts are asked for.
    private static let patience: Duration = .seconds(60)

    func run() throws {
        let response: ControlResponse
        do throws(ControlError) {
            response = try ControlClient(path: paths.runtimeDirectory.controlSocket).send(.reload, within: Self.patience)
        } catch .notRunning(let path) {
            throw CommandFailure(
                .daemonNotRunning, "virt-tapd is not running (nobody listens at \(path.printable)): it reads the file when it starts")
        } catch {
            throw CommandFailure(.failure, "\(error)")
        }
        guard let error = response.error else {
            for line in response.lines { Output.warn(line.printable) }
            // Who types it wants to see that something happened; systemd's journal has it from the daemon.
            if isatty(STDOUT_FILENO) == 1 { print("\(paths.config.printable): loaded, and in force") }
            return
        }
        // The daemon has logged them: in the journal they need not stand twice.
        if !Self.isJournal { for line in response.lines { Output.diagnose(line) } }
        Output.complain(error.printable)
        throw CommandFailure(response.reason == .configInvalid || response.reason == .configStale ? .configuration : .failure)
    }

    /// Whether standard error is the journal, as systemd tells those whom it starts.
    private static var isJournal: Bool {
        var status = stat()
        guard let stream = getenv("JOURNAL_STREAM"), fstat(STDERR_FILENO, &status) == 0 else { return false }
        return String(cString: stream) == "\(status.st_dev):\(status.st_ino)"
    }
}
