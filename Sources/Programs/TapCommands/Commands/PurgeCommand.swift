// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Dataplane
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
