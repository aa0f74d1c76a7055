// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Glibc
import TapModel

/// `virt-tap status`.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show taps, what they have copied, and why some are not active.",
        discussion: "If virt-tapd is not running, status says so, shows the taps that the kernel still copies for, and exits with 3.")

    @Flag(help: "Also show the taps of domains that are shut off.")
    var all = false

    @Flag(help: "Exit with 2 if a tap does not work or has been pending for too long, or the configuration is invalid.")
    var check = false

    @Flag(help: "Print the status document as JSON.")
    var json = false

    @Option(
        defaultAsFlag: WatchInterval.standard,
        help: ArgumentHelp("Refresh every 1 to 86400 seconds, for example --watch 5.", valueName: "seconds"))
    var watch: WatchInterval?

    @Argument(help: "Show only these domains, by name or UUID.", completion: DomainCompletion.kind)
    var domains: [String] = []

    @OptionGroup var paths: PathOptions

    func validate() throws {
        if let watch, watch.seconds == nil {
            throw ValidationError("invalid interval \"\(watch.description.printable)\": --watch takes 1 to 86400 seconds")
        }
        if watch != nil, check { throw ValidationError("--watch and --check exclude each other: --watch does not exit") }
    }

    func run() throws {
        guard let seconds = watch?.seconds else { return try once() }
        // A signal is the normal end of --watch.
        signal(SIGINT) { _ in _exit(0) }
        signal(SIGTERM) { _ in _exit(0) }
        try show()
        while true {
            sleep(seconds)
            // What fails now may work the next time.
            try show(forgiving: true)
        }
    }

    /// - Parameter forgiving: whether a failure is printed instead of thrown.
    private func show(forgiving: Bool = false) throws {
        let terminal = json ? Terminal.none : Terminal.current()
        var complaints: [String] = []
        var text = ""
        do {
            let answer = try StatusReader(paths: paths).read()
            complaints = answer.messages + unknownDomains(in: answer)
            text = try self.text(try selection.apply(to: answer.document), isKnown: answer.isKnown, for: terminal)
        } catch let failure as CommandFailure where forgiving {
            complaints += failure.lines
        }
        guard terminal.isTerminal else {
            for line in complaints { Output.error(line) }
            return try Output.write(text)
        }
        // Part of the redrawn screen: elsewhere the next redrawing would erase them.
        let messages = complaints.flatMap { DisplayWidth.wrap("virt-tap: \($0)", to: terminal.width, indent: "    ") }
        try Output.write(Self.inPlace(messages.map { $0 + "\n" }.joined() + text, height: terminal.height))
    }

    private func once() throws {
        let answer = try StatusReader(paths: paths).read()
        for line in answer.messages + unknownDomains(in: answer) { Output.error(line) }
        let document = try selection.apply(to: answer.document)
        try Output.write(try text(document, isKnown: answer.isKnown, for: json ? .none : .current()))
        guard document.daemon.running else { throw CommandFailure(.daemonNotRunning) }
        if check, StatusHealth.isUnhealthy(document, at: Timestamp(seconds: Int64(time(nil)))) { throw CommandFailure(.unhealthy) }
    }

    private var selection: StatusSelection { StatusSelection(domains: domains, includesShutOff: all) }

    /// Messages about domains on the command line for which the kernel has no tap, when virt-tapd cannot be asked.
    private func unknownDomains(in answer: StatusReader.Answer) -> [String] {
        guard !answer.document.daemon.running, answer.isKnown else { return [] }
        return selection.unknown(in: answer.document).map { name in
            "the kernel has no tap of domain \"\(name.printable)\"; see `virsh list --all` for the domains that exist"
        }
    }

    private func text(_ document: StatusDocument, isKnown: Bool, for terminal: Terminal) throws -> String {
        json ? try StatusJSON.text(document) : StatusTable.text(document, isSelection: !domains.isEmpty, isKnown: isKnown, for: terminal)
    }

    /// The text with the control sequences that draw it over the one before: cursor home, and the rest of each line and of the screen
    /// cleared, so that nothing flickers. Lines that do not fit on the screen are left out, since a screen that scrolls cannot be redrawn.
    static func inPlace(_ text: String, height: Int?) -> String {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if let height, lines.count > height {
            lines = lines.prefix(max(0, height - 2)) + ["(\(lines.count - 1 - max(0, height - 2)) more lines)", ""]
        }
        return "\u{1B}[H" + lines.map { $0 + "\u{1B}[K" }.joined(separator: "\n") + "\u{1B}[J"
    }
}

/// `virt-tap list` is `virt-tap status`. It is a subcommand and no alias, since shell completion does not know aliases.
struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "The same as status.",
        // The generated usage line would not show the options of StatusCommand.
        usage: "virt-tap list" + StatusCommand.usageString().dropFirst("status".count))

    @OptionGroup var status: StatusCommand

    func run() throws { try status.run() }
}

/// The value of `--watch`.
///
/// It takes any text and is checked afterwards: if the parser could not read the value of an option whose value is optional, it would
/// take the option for a flag, and would not report the mistake.
struct WatchInterval: ExpressibleByArgument, Hashable, CustomStringConvertible {
    static let standard = WatchInterval(argument: "2")

    var description: String
    /// 1 to 86,400; `nil`: the text is no such number.
    var seconds: UInt32? { UInt32(description).flatMap { (1...86_400).contains($0) ? $0 : nil } }

    init(argument: String) { description = argument }
}
