// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser

/// What `virt-tap set` says of a tap. Values are checked where they become XML, by the grammar itself.
struct TapOptions: ParsableArguments {
    private static let later = " Not carried out by this version: such a tap copies nothing."

    @Option(help: ArgumentHelp("Where copies go: a destination of the host's configuration.", valueName: "destination"))
    var to: String?

    @Option(help: ArgumentHelp("The tap's name, unique in the domain; default: the destination's.", valueName: "name"))
    var name: String?

    @Option(help: ArgumentHelp("inbound, outbound or both, as the guest sees it.", valueName: "direction"))
    var direction: String?

    @Option(help: ArgumentHelp("Only this interface, by MAC or alias; may be repeated.", valueName: "mac|alias"))
    var interface: [String] = []

    @Option(help: ArgumentHelp("Only what this pcap-filter(7) expression matches.\(Self.later)", valueName: "expression"))
    var filter: String?

    @Option(help: ArgumentHelp("At most so many bytes of a frame (64 to 65535), or: headers.\(Self.later)", valueName: "bytes|headers"))
    var snaplen: String?

    @Option(help: ArgumentHelp("One packet in N.\(Self.later)", valueName: "1/N"))
    var sample: String?

    @Option(help: ArgumentHelp("All packets of one flow in N.\(Self.later)", valueName: "1/N"))
    var sampleFlows: String?

    @Option(help: ArgumentHelp("At most so much, such as 100mbit or 10kpps.\(Self.later)", valueName: "rate"))
    var rate: String?

    @Flag(help: "The domain does not start on a host where this tap cannot be placed.")
    var required = false

    @Flag(help: "Keep the definition, copy nothing.")
    var disabled = false
}
