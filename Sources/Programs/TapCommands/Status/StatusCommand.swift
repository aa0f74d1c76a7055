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

    @Flag(help: "Also the taps of domains that are shut off.")
    var all = false

    @Flag(
        help:
            "Exit with 2 when a tap does not work, or has waited too long in a running domain for what should come by itself (10 seconds mostly), or the daemon has no configuration that can be used."
    )
    var check = false

    @Flag(help: "Print the status document in JSON.")
    var json = false

    @Option(
        defaultAsFlag: WatchInterval.standard,
        help: ArgumentHelp("Again every so many seconds; a domain that is called as a number goes before it.", valueName: "seconds"))
    var watch: WatchInterval?

    @Argument(help: "Only these domains, by name or UUID.", completion: DomainCompletion.kind)
    var domains: [String] = []

    @OptionGroup var paths: PathOptions

    func validate() throws {
        if let watch, watch.seconds == nil { throw ValidationError("--watch takes 1 to 86400 seconds") }
        if watch != nil, check { throw ValidationError("--watch goes on and has no exit code for --check") }
    }

    func run() throws {
        guard let seconds = watch?.seconds else { return try once() }
        // Being stopped is how it ends.
        signal(SIGINT) { _ in _exit(0) }
        signal(SIGTERM) { _ in _exit(0) }
        try show()
        while true {
            sleep(seconds)
            // What fails now may be better the next time.
            try show(forgiving: true)
        }
    }

    /// - Parameter forgiving: whether a failure is shown and not thrown.
    private func show(forgiving: Bool = false) throws {
        let terminal = json ? Terminal.none : Terminal.current()
        var complaints: [String] = []
        var text = ""
        do {
            let answer = try StatusReader(paths: paths).read()
            complaints = answer.complaints + strangers(in: answer)
            text = try self.text(try selection.apply(to: answer.document), isKnown: answer.isKnown, for: terminal)
        } catch let failure as CommandFailure where forgiving {
            complaints += failure.lines
        }
        guard terminal.isTerminal else {
            for line in complaints { Output.complain(line) }
            return try Output.write(text)
        }
        // On the screen that is drawn over, or nobody would ever see them.
        let told = complaints.flatMap { DisplayWidth.wrap("virt-tap: \($0)", to: terminal.width, indent: "    ") }
        try Output.write(Self.inPlace(told.map { $0 + "\n" }.joined() + text, height: terminal.height))
    }

    private func once() throws {
        let answer = try StatusReader(paths: paths).read()
        for line in answer.complaints + strangers(in: answer) { Output.complain(line) }
        let document = try selection.apply(to: answer.document)
        try Output.write(try text(document, isKnown: answer.isKnown, for: json ? .none : .current()))
        guard document.daemon.running else { throw CommandFailure(.daemonNotRunning) }
        if check, StatusHealth.isUnhealthy(document, at: Timestamp(seconds: Int64(time(nil)))) { throw CommandFailure(.unhealthy) }
    }

    private var selection: StatusSelection { StatusSelection(domains: domains, includesShutOff: all) }

    /// Domains that were named and that the kernel holds nothing of, when only the kernel can be asked.
    private func strangers(in answer: StatusReader.Answer) -> [String] {
        guard !answer.document.daemon.running, answer.isKnown else { return [] }
        return selection.unknown(in: answer.document).map { name in
            "the kernel holds no tap of a domain named \"\(name.printable)\"; whether there is such a domain, only libvirt knows"
        }
    }

    private func text(_ document: StatusDocument, isKnown: Bool, for terminal: Terminal) throws -> String {
        json ? try StatusJSON.text(document) : StatusTable.text(document, isSelection: !domains.isEmpty, isKnown: isKnown, for: terminal)
    }

    /// Over what was there before: home, each line and then the rest of the screen cleared, so that nothing flickers.
    /// What the screen has no room for is left away, since scrolling would end the redrawing.
    static func inPlace(_ text: String, height: Int?) -> String {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if let height, lines.count > height {
            lines = lines.prefix(max(0, height - 2)) + ["(\(lines.count - 1 - max(0, height - 2)) more lines)", ""]
        }
        return "\u{1B}[H" + lines.map { $0 + "\u{1B}[K" }.joined(separator: "\n") + "\u{1B}[J"
    }
}

/// `virt-tap list`, which is what people type: `virt-tap status`. No alias, which the shells' completions would not know.
struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "The same as status.",
        // Its own would be of the command that is in it.
        usage: "virt-tap list" + StatusCommand.usageString().dropFirst("status".count))

    @OptionGroup var status: StatusCommand

    func run() throws { try status.run() }
}

/// The value of `--watch`.
///
/// Takes any text and is checked afterwards: the parser takes an option whose value is optional for a flag when it
/// cannot read the value, and would leave a mistake unsaid.
struct WatchInterval: ExpressibleByArgument, Hashable, CustomStringConvertible {
    static let standard = WatchInterval(argument: "2")

    var description: String
    /// 1 to 86,400; `nil`: no such number.
    var seconds: UInt32? { UInt32(description).flatMap { (1...86_400).contains($0) ? $0 : nil } }

    init(argument: String) { description = argument }
}
