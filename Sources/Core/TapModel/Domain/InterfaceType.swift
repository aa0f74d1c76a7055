// SPDX-License-Identifier: LGPL-2.1-or-later

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
