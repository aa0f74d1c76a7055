// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import TapModel

/// What `virt-tap set` says of a tap. Values are checked where they become XML, by the grammar itself.
struct TapOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Where copies go: a destination of the host's configuration.", valueName: "destination"),
        completion: NameCompletion.destinations)
    var to: String?

    @Option(
        parsing: .unconditional, help: ArgumentHelp("The tap's name, unique in the domain; default: the destination's.", valueName: "name"),
        completion: NameCompletion.taps)
    var name: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("inbound, outbound or both, as the guest sees it.", valueName: "direction"),
        completion: .list(TapDirection.allCases.map(\.rawValue)))
    var direction: String?

    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp("Only this interface, by MAC, alias or fixed device name; may be repeated.", valueName: "mac|alias|device"))
    var interface: [String] = []

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Only what this pcap-filter(7) expression matches, with addresses and no host names.", valueName: "expression"))
    var filter: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The same from a file, whose lines are one expression; # begins a comment. - is standard input.", valueName: "file"),
        completion: .file())
    var filterFile: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("At most so many bytes of a frame (64 to 65535), or: headers.", valueName: "bytes|headers"),
        completion: .list(["headers"]))
    var snaplen: String?

    @Option(parsing: .unconditional, help: ArgumentHelp("One packet in N.", valueName: "1/N"))
    var sample: String?

    @Option(parsing: .unconditional, help: ArgumentHelp("All packets of one flow in N.", valueName: "1/N"))
    var sampleFlows: String?

    @Option(parsing: .unconditional, help: ArgumentHelp("At most so much, such as 100mbit or 10kpps.", valueName: "rate"))
    var rate: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("What may come at once over the rate: bytes, such as 64k, or packets.", valueName: "burst"))
    var burst: String?

    @Flag(help: "Every interface again, hot-plugged ones included.")
    var allInterfaces = false

    @Flag(help: "Everything again.")
    var noFilter = false

    @Flag(help: "Whole frames again.")
    var noSnaplen = false

    @Flag(help: "No sampling of either kind any more.")
    var noSample = false

    @Flag(help: "No limit any more.")
    var noRate = false

    @Flag(help: "The burst that virt-tap chooses for the rate.")
    var noBurst = false

    @Flag(
        inversion: .prefixedNo, exclusivity: .exclusive,
        help: "Whether the domain is kept from starting on a host where this tap cannot be placed.")
    var required: Bool?

    @Flag(
        inversion: .prefixedNo, exclusivity: .exclusive,
        help: "Whether a flow between two domains tapped to one destination is copied once.")
    var once: Bool?

    @Flag
    var power: Power?

    /// Whether the tap is switched on.
    enum Power: String, EnumerableFlag {
        case enabled, disabled

        static func help(for value: Power) -> ArgumentHelp? {
            switch value {
            case .enabled: "Switch the tap on again."
            case .disabled: "Keep the definition, copy nothing."
            }
        }
    }

    /// The options that a tap has once: given twice, one of the two would be lost without a word.
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

/// Reads a filter from a file as tcpdump's -F does: its lines are one expression, and what is behind a `#` is a comment.
enum FilterFile {
    /// - Parameter path: `-` is standard input.
    static func read(_ path: String) throws(CommandFailure) -> String {
        let file = try DocumentFile.read(path)
        guard let text = String(validating: file.bytes, as: UTF8.self) else {
            throw CommandFailure(.failure, "\(file.name): it is no text in UTF-8")
        }
        return try expression(text, of: file.name)
    }

    /// The expression in one line.
    ///
    /// libpcap's "syntax error" says nothing of where, so two lines that nothing joins are told by their numbers.
    static func expression(_ text: String, of name: String) throws(CommandFailure) -> String {
        // Windows' editors put a mark of the byte order in front.
        let lines = text.drop { $0 == "\u{FEFF}" }.split(omittingEmptySubsequences: false) { $0.isNewline }
        var parts: [(number: Int, text: String)] = []
        for (index, line) in lines.enumerated() {
            let words = line.prefix { $0 != "#" }.split { $0.isWhitespace }
            guard !words.isEmpty else { continue }
            let part = (number: index + 1, text: words.joined(separator: " "))
            if let last = parts.last, isComplete(last.text), begins(part.text) {
                throw CommandFailure(
                    .failure,
                    "\(name): nothing joins line \(last.number) (\(last.text.printable)) and line \(part.number) (\(part.text.printable)): "
                        + "all lines are one expression, so write && or || (and, or) between them")
            }
            parts.append(part)
        }
        guard !parts.isEmpty else { throw CommandFailure(.failure, "\(name): there is no filter in it, only blanks and comments") }
        return parts.map(\.text).joined(separator: " ")
    }

    /// Whether a line ends with an address, a number or a parenthesis, behind which only an operator can stand.
    private static func isComplete(_ line: String) -> Bool {
        guard let last = line.split(separator: " ").last else { return false }
        return last.last == ")" || (last.contains { $0.isNumber } && last.allSatisfy { $0.isHexDigit || ".:/-".contains($0) })
    }

    private static let beginning: Set<Substring> = [
        "not", "host", "net", "port", "portrange", "src", "dst", "ether", "ip", "ip6", "tcp", "udp", "icmp", "icmp6", "arp", "vlan",
        "proto",
    ]

    /// Whether a line begins with what begins a term.
    private static func begins(_ line: String) -> Bool {
        line.first == "(" || (line.first == "!" && !line.hasPrefix("!="))
            || line.split(separator: " ").first.map(beginning.contains) == true
    }
}
