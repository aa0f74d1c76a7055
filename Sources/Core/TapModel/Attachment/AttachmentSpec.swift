// SPDX-License-Identifier: LGPL-2.1-or-later

/// What is pinned beside an attachment's links: who it belongs to and what it does, so that a restarted daemon can
/// adopt it and `status` can name it with no daemon at all.
///
/// Written as JSON into a frozen map. Keys may be added and must then be optional; the number in the pins' path
/// changes when that does not suffice.
public struct AttachmentSpec: Hashable, Codable, Sendable {
    public var key: AttachmentKey
    public var domainName: String
    public var interface: AttachedInterface
    public var destinationKind: DestinationTarget.Kind
    public var options: CopyOptions
    public var mechanism: Mechanism
    /// Since when the counters count.
    public var since: Timestamp
    /// Which compiled eBPF object the programs come from.
    public var build: String
    /// Kernel ids of the programs, by direction: a link that carries another program is not as we left it.
    public var inboundProgram: UInt32?
    public var outboundProgram: UInt32?
    /// Only for clsact: where our filters are.
    public var clsact: ClsactFilter?

    /// A filter's place on a clsact qdisc.
    public struct ClsactFilter: Hashable, Codable, Sendable {
        public var priority: UInt32
        public var handle: UInt32

        public init(priority: UInt32, handle: UInt32) {
            self.priority = priority
            self.handle = handle
        }
    }

    private enum CodingKeys: String, CodingKey {
        case key, domainName, interface, destinationKind, mechanism, since, build, inboundProgram, outboundProgram, clsact
        // The key is that of pins that were made before the property had its name.
        case options = "wish"
    }

    public init(
        _ desired: DesiredAttachment, since: Timestamp, build: String, inboundProgram: UInt32? = nil, outboundProgram: UInt32? = nil,
        clsact: ClsactFilter? = nil
    ) {
        key = desired.key
        domainName = desired.domainName
        interface = desired.interface
        destinationKind = desired.destinationKind
        options = desired.options
        mechanism = desired.mechanism
        self.since = since
        self.build = build
        self.inboundProgram = inboundProgram
        self.outboundProgram = outboundProgram
        self.clsact = clsact
    }

    /// Whether its copies go by the relay.
    public var needsRelay: Bool { options.needsRelay(for: destinationKind) }

    public func program(_ direction: Direction) -> UInt32? {
        direction == .inbound ? inboundProgram : outboundProgram
    }
}
