// SPDX-License-Identifier: LGPL-2.1-or-later

/// A remote destination. Numbers are checked by the parser: a VNI has 24 bits, a GRE key 32, an ERSPAN session 10.
public struct Tunnel: Hashable, Codable, Sendable {
    public enum Kind: String, CaseIterable, Codable, Sendable {
        case vxlan, geneve, gre, erspan

        public var destinationKind: DestinationTarget.Kind {
            switch self {
            case .vxlan: .vxlan
            case .geneve: .geneve
            case .gre: .gre
            case .erspan: .erspan
            }
        }

        /// How the grammar calls the tunnel's identifier.
        public var identifierName: String {
            switch self {
            case .vxlan, .geneve: "vni"
            case .gre: "key"
            case .erspan: "session"
            }
        }

        /// The greatest number that the header has room for.
        public var maximumIdentifier: UInt32 {
            switch self {
            case .vxlan, .geneve: 0xFF_FFFF
            case .gre: 0xFFFF_FFFF
            case .erspan: 0x3FF
            }
        }

        /// The UDP port when none is given; `nil` where there is no port.
        public var defaultPort: UInt16? {
            switch self {
            case .vxlan: 4_789
            case .geneve: 6_081
            case .gre, .erspan: nil
            }
        }
    }

    /// What to do with one frame that is too large for the path.
    public enum Oversize: String, CaseIterable, Codable, Sendable {
        case fragment, truncate, drop
    }

    public var kind: Kind
    /// An IPv4 or IPv6 address in its canonical text form.
    public var remote: String
    /// The VNI, key or session; absent only for GRE without a key, or where each direction has its own.
    public var identifier: UInt32?
    /// The number for each direction where each has its own.
    public var inboundIdentifier: UInt32?
    public var outboundIdentifier: UInt32?
    /// UDP destination port of VXLAN and Geneve.
    public var port: UInt16?
    /// ERSPAN: 1 (type II) or 2 (type III).
    public var version: UInt8?
    /// Outer source address, which also says by which device packets leave: the one that has it. `nil`: by route.
    public var source: String?
    /// The only device that packets may leave by; `nil`: what the route says.
    public var device: String?
    public var ttl: UInt8?
    /// 0 to 63.
    public var dscp: UInt8?
    public var oversize: Oversize

    public init(
        kind: Kind, remote: String, identifier: UInt32? = nil, inboundIdentifier: UInt32? = nil, outboundIdentifier: UInt32? = nil,
        port: UInt16? = nil, version: UInt8? = nil, source: String? = nil, device: String? = nil, ttl: UInt8? = nil, dscp: UInt8? = nil,
        oversize: Oversize = .fragment
    ) {
        self.kind = kind
        self.remote = remote
        self.identifier = identifier
        self.inboundIdentifier = inboundIdentifier
        self.outboundIdentifier = outboundIdentifier
        self.port = port ?? kind.defaultPort
        self.version = version
        self.source = source
        self.device = device
        self.ttl = ttl
        self.dscp = dscp
        self.oversize = oversize
    }

    /// The name of an inline destination, such as `vxlan:192.0.2.10:4789/100` or `erspan:[2001:db8::1]/7;version=2;ttl=9`: one for
    /// each way to encapsulate copies, since destinations of one name are one destination. At most `labelLimit` bytes.
    public var label: String {
        var text = "\(kind.rawValue):" + (remote.contains(":") ? "[\(remote)]" : remote)
        if let port { text += ":\(port)" }
        if let identifier { text += "/\(identifier)" }
        var options = ""
        func add(_ name: String, _ value: (some CustomStringConvertible)?) {
            if let value { options += ";\(name)=\(value)" }
        }
        add("inbound", inboundIdentifier)
        add("outbound", outboundIdentifier)
        if version != 1 { add("version", version) }
        if oversize != .fragment { add("oversize", oversize.rawValue) }
        add("ttl", ttl)
        add("dscp", dscp)
        add("source", source)
        add("device", device)
        // Only long IPv6 addresses come to that, and names.
        let isShort = text.utf8.count + options.utf8.count <= Self.labelLimit
        return text + (isShort ? options : ";options=" + String(StableHash.of(options), radix: 16))
    }

    /// How long a label may be, in bytes: the map of destinations has room for these and a NUL.
    public static let labelLimit = 95
}
