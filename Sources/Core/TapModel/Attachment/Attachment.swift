// SPDX-License-Identifier: LGPL-2.1-or-later

/// What makes two attachments the same one: the domain, who wished the tap, its name, and the very device.
///
/// The ifindex is part of it because libvirt reuses device names and the domain's next run is another device.
public struct AttachmentKey: Hashable, Codable, Sendable {
    public var domain: DomainUUID
    public var origin: TapOrigin
    public var tap: TapName
    public var ifindex: UInt32

    public init(domain: DomainUUID, origin: TapOrigin, tap: TapName, ifindex: UInt32) {
        self.domain = domain
        self.origin = origin
        self.tap = tap
        self.ifindex = ifindex
    }

    /// The name of the attachment's directory of pins.
    public var id: AttachmentID { AttachmentID(self) }
}

/// The name of an attachment's directory in bpffs: 56 hexadecimal digits, made of the domain's UUID, the ifindex and a
/// hash of origin and tap name.
///
/// Hexadecimal because bpffs refuses dots, which tap names may have. The UUID stands in it whole, so that nobody can
/// choose tap names that collide with another domain's; within one domain the spec behind the name decides.
public struct AttachmentID: Hashable, Sendable {
    public let text: String

    public init(_ key: AttachmentKey) {
        let hash = StableHash.of("\(key.origin.rawValue)/\(key.tap.text)")
        text = key.domain.hex + Self.padded(UInt64(key.ifindex), to: 8) + Self.padded(hash, to: 16)
    }

    /// Takes a directory's name; `nil` when it cannot be one of ours.
    public init?(directory name: String) {
        guard name.utf8.count == 56, name.utf8.allSatisfy({ hexadecimalValue($0) != nil && !(65...70).contains($0) }) else { return nil }
        text = name
    }

    /// The domain's UUID as `DomainUUID.hex` writes it.
    public var domain: String { String(text.prefix(32)) }

    /// The device's, which stands in the name.
    public var ifindex: UInt32 { UInt32(text.dropFirst(32).prefix(8), radix: 16) ?? 0 }

    private static func padded(_ value: UInt64, to width: Int) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: width - digits.count) + digits
    }
}

extension AttachmentID: CustomStringConvertible {
    public var description: String { text }
}

/// The interface of a domain and the device that was proved to be its host side.
public struct AttachedInterface: Hashable, Codable, Sendable {
    public var alias: String?
    /// The guest's address, as in the XML.
    public var mac: MACAddress
    public var type: InterfaceType
    /// What libvirt calls the device, whatever others call it since.
    public var device: String
    /// Whether the device is a macvtap, on which the TC hooks see the guest the other way round.
    public var isMacvtap: Bool
    /// What the device was like when it was proved; `nil` in what an earlier version pinned.
    public var traits: DeviceTraits?

    public init(alias: String?, mac: MACAddress, type: InterfaceType, device: String, isMacvtap: Bool, traits: DeviceTraits? = nil) {
        self.alias = alias
        self.mac = mac
        self.type = type
        self.device = device
        self.isMacvtap = isMacvtap
        self.traits = traits
    }
}

/// A filter expression and what libpcap made of it.
///
/// The instructions are classic BPF, `struct sock_filter` of linux/filter.h each: `code` in bits 0 to 15, `jt` in 16 to 23, `jf` in
/// 24 to 31, `k` in 32 to 63. They were validated: they end with a return, jump only forwards and only within.
public struct CompiledFilter: Hashable, Sendable {
    /// The pcap-filter(7) expression, as the tap has it.
    public var expression: String
    public var instructions: [UInt64]

    public init(expression: String, instructions: [UInt64]) {
        self.expression = expression
        self.instructions = instructions
    }
}

/// One attachment that ought to be there.
public struct DesiredAttachment: Hashable, Sendable {
    public var key: AttachmentKey
    public var domainName: String
    public var interface: AttachedInterface
    public var destinationKind: DestinationTarget.Kind
    public var options: CopyOptions
    /// What `options.filter` compiles to; there exactly when that is.
    public var filter: CompiledFilter?
    public var mechanism: Mechanism

    /// Whether its copies go by the relay.
    public var needsRelay: Bool { options.needsRelay(for: destinationKind) }

    public init(
        key: AttachmentKey, domainName: String, interface: AttachedInterface, destinationKind: DestinationTarget.Kind, options: CopyOptions,
        filter: CompiledFilter? = nil, mechanism: Mechanism
    ) {
        self.key = key
        self.domainName = domainName
        self.interface = interface
        self.destinationKind = destinationKind
        self.options = options
        self.filter = filter
        self.mechanism = mechanism
    }
}

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
