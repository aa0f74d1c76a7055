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
