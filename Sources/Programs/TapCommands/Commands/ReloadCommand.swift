// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Glibc
import TapControl
import TapModel

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
