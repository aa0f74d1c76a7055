// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import TapModel

/// The options of `virt-tap set` that describe a tap. Their values are checked by the metadata's grammar: see `TapDraft`.
struct TapOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Destination of the copies, from the host's configuration.", valueName: "destination"),
        completion: NameCompletion.destinations)
    var to: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("The tap's name, unique in the domain; default: the destination's name.", valueName: "name"),
        completion: NameCompletion.taps)
    var name: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("inbound, outbound or both, as the guest sees it; default: both.", valueName: "direction"),
        completion: .list(TapDirection.allCases.map(\.rawValue)))
    var direction: String?

    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp("Tap only this interface, by MAC, alias or fixed device name; may be repeated.", valueName: "mac|alias|device"))
    var interface: [String] = []

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Copy only what this pcap-filter(7) expression matches, for example 'tcp port 443'.", valueName: "expression"))
    var filter: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Read the filter from a file with # comments, or from standard input (-).", valueName: "file"),
        completion: .file())
    var filterFile: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Truncate copies to 64 to 65535 bytes, or to their headers.", valueName: "bytes|headers"),
        completion: .list(["headers"]))
    var snaplen: String?

    @Option(parsing: .unconditional, help: ArgumentHelp("Copy one packet in N, for example 1/10.", valueName: "1/N"))
    var sample: String?

    @Option(parsing: .unconditional, help: ArgumentHelp("Copy all packets of one flow in N, for example 1/10.", valueName: "1/N"))
    var sampleFlows: String?

    @Option(parsing: .unconditional, help: ArgumentHelp("Copy at most this much, for example 100mbit or 10kpps.", valueName: "rate"))
    var rate: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Allow bursts over the rate: bytes, for example 64k, or packets.", valueName: "burst"))
    var burst: String?

    @Flag(help: "Tap every interface again.")
    var allInterfaces = false

    @Flag(help: "Remove the filter.")
    var noFilter = false

    @Flag(help: "Copy whole frames again.")
    var noSnaplen = false

    @Flag(help: "Remove sampling of packets and flows.")
    var noSample = false

    @Flag(help: "Remove the rate.")
    var noRate = false

    @Flag(help: "Let virt-tap choose the burst again.")
    var noBurst = false

    @Flag(
        inversion: .prefixedNo, exclusivity: .exclusive,
        help: "Start the domain only where this tap can be attached.")
    var required: Bool?

    @Flag(
        inversion: .prefixedNo, exclusivity: .exclusive,
        help: "Copy a flow between two domains with the same destination once.")
    var once: Bool?

    @Flag
    var power: Power?

    /// Whether the tap is switched on.
    enum Power: String, EnumerableFlag {
        case enabled, disabled

        static func help(for value: Power) -> ArgumentHelp? {
            switch value {
            case .enabled: "Switch the tap on again."
            case .disabled: "Switch the tap off, and keep its definition."
            }
        }
    }

    /// The options with one value per tap. The parser would silently ignore all but the last.
    static let single = [
        "--to", "--name", "--direction", "--filter", "--filter-file", "--snaplen", "--sample", "--sample-flows", "--rate", "--burst",
    ]

    func validate() throws {
        let pairs: [(Bool, Bool, String)] = [
            (allInterfaces, !interface.isEmpty, "--all-interfaces and --interface"), (noFilter, filter != nil, "--no-filter and --filter"),
            (noFilter, filterFile != nil, "--no-filter and --filter-file"),
            (filter != nil, filterFile != nil, "--filter and --filter-file"),
            (noSnaplen, snaplen != nil, "--no-snaplen and --snaplen"), (noRate, rate != nil, "--no-rate and --rate"),
            (noBurst, burst != nil, "--no-burst and --burst"), (noRate, burst != nil, "--no-rate and --burst"),
            (noSample, sample != nil, "--no-sample and --sample"), (noSample, sampleFlows != nil, "--no-sample and --sample-flows"),
        ]
        for (left, right, names) in pairs where left && right { throw ValidationError("\(names) exclude each other") }
    }
}

/// Reads a filter from a file as tcpdump's -F does: all lines are one expression, and a `#` begins a comment.
enum FilterFile {
    /// - Parameter path: `-` is standard input.
    static func read(_ path: String) throws(CommandFailure) -> String {
        let file = try DocumentFile.read(path)
        guard let text = String(validating: file.bytes, as: UTF8.self) else {
            throw CommandFailure(.failure, "\(file.name): invalid UTF-8")
        }
        return try expression(text, of: file.name)
    }

    /// The expression as one line.
    ///
    /// libpcap reports a syntax error without its position. So two lines without an operator between them are reported by number.
    static func expression(_ text: String, of name: String) throws(CommandFailure) -> String {
        // Editors on Windows write a byte order mark.
        let lines = text.drop { $0 == "\u{FEFF}" }.split(omittingEmptySubsequences: false) { $0.isNewline }
        var parts: [(number: Int, text: String)] = []
        for (index, line) in lines.enumerated() {
            let words = line.prefix { $0 != "#" }.split { $0.isWhitespace }
            guard !words.isEmpty else { continue }
            let part = (number: index + 1, text: words.joined(separator: " "))
            if let last = parts.last, isComplete(last.text), begins(part.text) {
                throw CommandFailure(
                    .failure,
                    "\(name): no operator between line \(last.number) (\(last.text.printable)) and line \(part.number) "
                        + "(\(part.text.printable)): all lines are one expression; put && or || between them")
            }
            parts.append(part)
        }
        guard !parts.isEmpty else { throw CommandFailure(.failure, "\(name): no filter, only spaces and comments") }
        return parts.map(\.text).joined(separator: " ")
    }

    /// Whether a line ends with an address, a number or a parenthesis, which only an operator can follow.
    private static func isComplete(_ line: String) -> Bool {
        guard let last = line.split(separator: " ").last else { return false }
        return last.last == ")" || (last.contains { $0.isNumber } && last.allSatisfy { $0.isHexDigit || ".:/-".contains($0) })
    }

    private static let beginning: Set<Substring> = [
        "not", "host", "net", "port", "portrange", "src", "dst", "ether", "ip", "ip6", "tcp", "udp", "icmp", "icmp6", "arp", "vlan",
        "proto",
    ]

    /// Whether a line begins like a term.
    private static func begins(_ line: String) -> Bool {
        line.first == "(" || (line.first == "!" && !line.hasPrefix("!="))
            || line.split(separator: " ").first.map(beginning.contains) == true
    }
}
