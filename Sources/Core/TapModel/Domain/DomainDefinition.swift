// SPDX-License-Identifier: LGPL-2.1-or-later

/// What virt-tap needs to know of a domain's XML.
public struct DomainDefinition: Hashable, Sendable {
    public var uuid: DomainUUID
    /// As libvirt has it: any bytes that XML can carry, so escape it wherever people read it.
    public var name: String
    public var interfaces: [DomainInterface]
    /// In the order of the metadata. Names of valid ones are unique: of two equal ones the first stands, and the others
    /// are invalid with `duplicate-name`.
    public var taps: [TapEntry]

    public init(uuid: DomainUUID, name: String, interfaces: [DomainInterface], taps: [TapEntry]) {
        self.uuid = uuid
        self.name = name
        self.interfaces = interfaces
        self.taps = taps
    }
}

/// One `<interface>` of a domain, as its XML describes it. Nothing here is proved: see `DeviceOwnership`.
public struct DomainInterface: Hashable, Sendable {
    /// libvirt's alias (`net0`); `nil` in the XML of a domain that does not run.
    public var alias: String?
    public var mac: MACAddress?
    public var type: InterfaceType
    /// `<source bridge>`.
    public var bridge: String?
    /// `<source network>`.
    public var network: String?
    /// `<backend type>`: the program that carries its frames (`passt`), where one is named.
    public var backend: String?
    /// `<target dev>`: what somebody wrote or libvirt chose; `nil` where there is none (yet).
    public var device: String?
    /// The element's place in the XML, for messages: `/domain/devices/interface[2]`.
    public var path: String

    public init(
        alias: String? = nil, mac: MACAddress? = nil, type: InterfaceType, bridge: String? = nil, network: String? = nil,
        device: String? = nil, path: String = ""
    ) {
        self.alias = alias
        self.mac = mac
        self.type = type
        self.bridge = bridge
        self.network = network
        self.device = device
        self.path = path
    }
}

/// The `type` of an `<interface>`, as the live XML reports it (for a network that is its actual type).
public enum InterfaceType: Hashable, Sendable {
    case bridge, network, direct, ethernet
    case user, hostdev, vhostuser, vdpa, mcast, udp, server, client
    /// A type that this version does not know, as it was written.
    case other(String)

    private static let known: [String: InterfaceType] = [
        "bridge": .bridge, "network": .network, "direct": .direct, "ethernet": .ethernet, "user": .user, "hostdev": .hostdev,
        "vhostuser": .vhostuser, "vdpa": .vdpa, "mcast": .mcast, "udp": .udp, "server": .server, "client": .client,
    ]

    public init(_ text: String) { self = Self.known[text] ?? .other(text) }

    public var text: String {
        if case .other(let text) = self { return text }
        return Self.known.first { $0.value == self }?.key ?? ""
    }

    /// Whether traffic of such an interface crosses a netdev of this host where a TC program sees it.
    public var hasDevice: Bool {
        switch self {
        case .bridge, .network, .direct, .ethernet: true
        default: false
        }
    }
}

extension InterfaceType: Codable {
    public init(from decoder: any Decoder) throws {
        self = InterfaceType(try decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
