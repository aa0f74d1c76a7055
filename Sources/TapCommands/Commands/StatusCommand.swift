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

    static let standardInterval = 2

    @OptionGroup var paths: PathOptions

    @Flag(help: "Also the taps of domains that are shut off.")
    var all = false

    @Flag(help: "Exit with 2 when a tap does not work, or has been pending for over a minute in a running domain.")
    var check = false

    @Flag(help: "Print the status document in JSON.")
    var json = false

    @Option(defaultAsFlag: StatusCommand.standardInterval, help: ArgumentHelp("Again every so many seconds.", valueName: "seconds"))
    var watch: Int?

    @Argument(help: "Only these domains, by name or UUID.")
    var domains: [String] = []

    func validate() throws {
        if let watch, !(1...86_400).contains(watch) { throw ValidationError("--watch takes 1 to 86400 seconds") }
        if watch != nil, check { throw ValidationError("--watch goes on and has no exit code for --check") }
    }

    func run() throws {
        guard let watch else { return try once() }
        // Being stopped is how it ends.
        signal(SIGINT) { _ in _exit(0) }
        signal(SIGTERM) { _ in _exit(0) }
        while true {
            try show(again: true)
            sleep(UInt32(watch))
        }
    }

    private func once() throws {
        let (document, isRunning) = try show(again: false)
        guard isRunning else { throw CommandFailure(.daemonNotRunning) }
        if check, StatusHealth.isUnhealthy(document.taps, at: Timestamp(seconds: Int64(time(nil)))) { throw CommandFailure(.unhealthy) }
    }

    @discardableResult
    private func show(again: Bool) throws -> (StatusDocument, isRunning: Bool) {
        let terminal = json ? Terminal.none : Terminal.current()
        let answer: StatusReader.Answer
        do {
            answer = try StatusReader(paths: paths).read()
        } catch where again {
            // The next time may be better.
            for line in error.lines { Output.complain(line) }
            return (.withoutDaemon(host: .init(name: "", kernel: "", libvirt: nil), configPath: "", hookInstalled: false), true)
        }
        for line in answer.complaints { Output.complain(line) }
        let selection = StatusSelection(domains: domains, includesShutOff: all)
        let document = again ? (try? selection.apply(to: answer.document)) ?? answer.document : try selection.apply(to: answer.document)
        let text = json ? try StatusJSON.text(document) : StatusTable.text(document, for: terminal)
        try Output.write(again && terminal.isTerminal ? Self.inPlace(text) : text)
        return (document, answer.complaints.isEmpty)
    }

    /// Over what was there before: home, each line and then the rest of the screen cleared, so that nothing flickers.
    static func inPlace(_ text: String) -> String {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { $0 + "\u{1B}[K" }
        return "\u{1B}[H" + lines.joined(separator: "\n") + "\u{1B}[J"
    }
}
