// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Glibc
import TapModel

/// `virt-tap status`.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Shows every tap and interface, what was copied, and why what is not active is not.",
        discussion: "With the daemon down it says so, still shows what the kernel is copying, and exits with 3.")

    @OptionGroup var paths: PathOptions

    @Flag(help: "Also the taps of domains that are shut off.")
    var all = false

    @Flag(help: "Exit with 2 when a tap does not work, or has been pending for over a minute in a running domain.")
    var check = false

    @Flag(help: "Print the status document in JSON.")
    var json = false

    @Option(defaultAsFlag: WatchInterval.standard, help: ArgumentHelp("Again every so many seconds.", valueName: "seconds"))
    var watch: WatchInterval?

    @Argument(help: "Only these domains, by name or UUID.")
    var domains: [String] = []

    func validate() throws {
        if let watch, watch.seconds == nil { throw ValidationError("--watch takes 1 to 86400 seconds") }
        if watch != nil, check { throw ValidationError("--watch goes on and has no exit code for --check") }
    }

    func run() throws {
        guard let seconds = watch?.seconds else { return try once() }
        // Being stopped is how it ends.
        signal(SIGINT) { _ in _exit(0) }
        signal(SIGTERM) { _ in _exit(0) }
        while true {
            // What fails now may be better the next time.
            do {
                try show(try selected(), again: true)
            } catch let failure as CommandFailure {
                for line in failure.lines { Output.complain(line) }
            }
            sleep(seconds)
        }
    }

    private func once() throws {
        let answer = try selected()
        try show(answer, again: false)
        guard answer.document.daemon.running else { throw CommandFailure(.daemonNotRunning) }
        if check, StatusHealth.isUnhealthy(answer.document.taps, at: Timestamp(seconds: Int64(time(nil)))) {
            throw CommandFailure(.unhealthy)
        }
    }

    private func selected() throws(CommandFailure) -> StatusReader.Answer {
        var answer = try StatusReader(paths: paths).read()
        for line in answer.complaints { Output.complain(line) }
        answer.document = try StatusSelection(domains: domains, includesShutOff: all).apply(to: answer.document)
        return answer
    }

    private func show(_ answer: StatusReader.Answer, again: Bool) throws {
        let terminal = json ? Terminal.none : Terminal.current()
        let text = json ? try StatusJSON.text(answer.document) : StatusTable.text(answer.document, for: terminal)
        try Output.write(again && terminal.isTerminal ? Self.inPlace(text) : text)
    }

    /// Over what was there before: home, each line and then the rest of the screen cleared, so that nothing flickers.
    static func inPlace(_ text: String) -> String {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { $0 + "\u{1B}[K" }
        return "\u{1B}[H" + lines.joined(separator: "\n") + "\u{1B}[J"
    }
}
