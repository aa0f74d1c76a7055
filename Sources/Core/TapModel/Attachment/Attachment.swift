// SPDX-License-Identifier: LGPL-2.1-or-later

/// What identifies an attachment: the domain, the origin and name of the tap, and the device.
///
/// The ifindex is part of it because libvirt reuses device names, and the domain's next run has another device.
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
/// Hexadecimal because bpffs refuses dots, which tap names may have. It contains the whole UUID, so that nobody can choose tap names that
/// collide with another domain's; within one domain the spec in the directory decides.
public struct AttachmentID: Hashable, Sendable {
    public let text: String

    public init(_ key: AttachmentKey) {
        let hash = StableHash.of("\(key.origin.rawValue)/\(key.tap.text)")
        text = key.domain.hex + Self.padded(UInt64(key.ifindex), to: 8) + Self.padded(hash, to: 16)
    }

    /// Reads the name of a directory; `nil` when it cannot be one of ours.
    public init?(directory name: String) {
        guard name.utf8.count == 56, name.utf8.allSatisfy({ hexadecimalValue($0) != nil && !(65...70).contains($0) }) else { return nil }
        text = name
    }

    /// The domain's UUID as `DomainUUID.hex` writes it.
    public var domain: String { String(text.prefix(32)) }

    /// The ifindex of the device, which is part of the name.
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
    /// The name that libvirt has for the device; somebody may have renamed it since.
    public var device: String
    /// Whether the device is a macvtap, on which the TC hooks see the guest the other way round.
    public var isMacvtap: Bool
    /// The device's traits when it was proved; `nil` in specs that an earlier version pinned.
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

/// A filter expression and the program to which libpcap compiled it.
///
/// The instructions are classic BPF, `struct sock_filter` of linux/filter.h each: `code` in bits 0 to 15, `jt` in 16 to 23, `jf` in
/// 24 to 31, `k` in 32 to 63. They have been checked: they end with a return, and jump only forwards and within the program.
public struct CompiledFilter: Hashable, Sendable {
    /// The pcap-filter(7) expression, as the tap has it.
    public var expression: String
    public var instructions: [UInt64]

    public init(expression: String, instructions: [UInt64]) {
        self.expression = expression
        self.instructions = instructions
    }
}

/// One tap on one device: whose it is and what it copies. What is desired and what is pinned both describe an attachment so.
public struct TapAttachment: Hashable, Codable, Sendable {
    /// What makes it this attachment and no other.
    public var key: AttachmentKey
    /// As libvirt has it.
    public var domainName: String
    /// The interface of the domain, and its device.
    public var interface: AttachedInterface
    public var destinationKind: DestinationTarget.Kind
    public var options: CopyOptions
    public var mechanism: Mechanism

    private enum CodingKeys: String, CodingKey {
        case key, domainName, interface, destinationKind, mechanism
        // The key is that of pins that were made before the property had its name.
        case options = "wish"
    }

    public init(
        key: AttachmentKey, domainName: String, interface: AttachedInterface, destinationKind: DestinationTarget.Kind, options: CopyOptions,
        mechanism: Mechanism
    ) {
        self.key = key
        self.domainName = domainName
        self.interface = interface
        self.destinationKind = destinationKind
        self.options = options
        self.mechanism = mechanism
    }

    /// Whether its copies go through the relay.
    public var needsRelay: Bool { options.needsRelay(for: destinationKind) }
}

/// An attachment that is desired, with its compiled filter. It has all properties of a `TapAttachment`.
@dynamicMemberLookup
public struct DesiredAttachment: Hashable, Sendable {
    public var attachment: TapAttachment
    /// What `options.filter` compiles to; `nil` exactly when there is no filter.
    public var filter: CompiledFilter?

    public init(
        key: AttachmentKey, domainName: String, interface: AttachedInterface, destinationKind: DestinationTarget.Kind, options: CopyOptions,
        filter: CompiledFilter? = nil, mechanism: Mechanism
    ) {
        attachment = TapAttachment(
            key: key, domainName: domainName, interface: interface, destinationKind: destinationKind, options: options, mechanism: mechanism
        )
        self.filter = filter
    }

    public subscript<Value>(dynamicMember property: WritableKeyPath<TapAttachment, Value>) -> Value {
        get { attachment[keyPath: property] }
        set { attachment[keyPath: property] = newValue }
    }

    public subscript<Value>(dynamicMember property: KeyPath<TapAttachment, Value>) -> Value { attachment[keyPath: property] }
}

/// What is pinned next to an attachment's links: the attachment and how it was made, so that a restarted daemon can adopt it and `status`
/// can name it with no daemon at all. It has all properties of a `TapAttachment`.
///
/// Written as JSON into a frozen map, the attachment's keys among the others. Keys may be added and must then be optional; the number in the
/// pins' path changes when that does not suffice.
@dynamicMemberLookup
public struct AttachmentSpec: Hashable, Sendable {
    public var attachment: TapAttachment
    /// The time at which the counters began.
    public var since: Timestamp
    /// Which compiled eBPF object the programs come from.
    public var build: String
    /// Kernel id of the program of each direction: a link that carries another program was changed by somebody else.
    public var inboundProgram: UInt32?
    public var outboundProgram: UInt32?
    /// The position of our filters; only with clsact.
    public var clsact: ClsactFilter?

    /// A filter's position on a clsact qdisc.
    public struct ClsactFilter: Hashable, Codable, Sendable {
        public var priority: UInt32
        public var handle: UInt32

        public init(priority: UInt32, handle: UInt32) {
            self.priority = priority
            self.handle = handle
        }
    }

    public init(
        _ desired: DesiredAttachment, since: Timestamp, build: String, inboundProgram: UInt32? = nil, outboundProgram: UInt32? = nil,
        clsact: ClsactFilter? = nil
    ) {
        attachment = desired.attachment
        self.since = since
        self.build = build
        self.inboundProgram = inboundProgram
        self.outboundProgram = outboundProgram
        self.clsact = clsact
    }

    public subscript<Value>(dynamicMember property: WritableKeyPath<TapAttachment, Value>) -> Value {
        get { attachment[keyPath: property] }
        set { attachment[keyPath: property] = newValue }
    }

    public subscript<Value>(dynamicMember property: KeyPath<TapAttachment, Value>) -> Value { attachment[keyPath: property] }

    /// The kernel id of one direction's program.
    public func program(_ direction: Direction) -> UInt32? {
        direction == .inbound ? inboundProgram : outboundProgram
    }
}

extension AttachmentSpec: Codable {
    private enum CodingKeys: String, CodingKey {
        case since, build, inboundProgram, outboundProgram, clsact
    }

    public init(from decoder: any Decoder) throws {
        attachment = try TapAttachment(from: decoder)
        let container = try decoder.container(keyedBy: CodingKeys.self)
        since = try container.decode(Timestamp.self, forKey: .since)
        build = try container.decode(String.self, forKey: .build)
        inboundProgram = try container.decodeIfPresent(UInt32.self, forKey: .inboundProgram)
        outboundProgram = try container.decodeIfPresent(UInt32.self, forKey: .outboundProgram)
        clsact = try container.decodeIfPresent(ClsactFilter.self, forKey: .clsact)
    }

    public func encode(to encoder: any Encoder) throws {
        try attachment.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(since, forKey: .since)
        try container.encode(build, forKey: .build)
        try container.encodeIfPresent(inboundProgram, forKey: .inboundProgram)
        try container.encodeIfPresent(outboundProgram, forKey: .outboundProgram)
        try container.encodeIfPresent(clsact, forKey: .clsact)
    }
}
