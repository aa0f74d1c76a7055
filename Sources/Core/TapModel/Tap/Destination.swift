// SPDX-License-Identifier: LGPL-2.1-or-later

/// Where copies go: the content of a `<destination>`, in the host's configuration or inline in the metadata.
public enum DestinationTarget: Hashable, Codable, Sendable {
    /// A netdev of the host. `allowShared` permits one that carries other traffic too.
    case interface(name: String, allowShared: Bool)
    /// A monitor port, which virt-tapd installs: sensors of this host listen at the device of this name.
    case monitor(name: String)
    /// A sensor VM on this host, one of its interfaces chosen by MAC or alias. At least one of name and UUID; with
    /// both, both must match.
    case domain(name: String?, uuid: DomainUUID?, mac: MACAddress?, alias: String?)
    /// A tunnel to another machine.
    case tunnel(Tunnel)

    /// The element's name in the metadata and the configuration, and `kind` in the status document.
    public enum Kind: String, CaseIterable, Codable, Sendable {
        case interface, monitor, domain, vxlan, geneve, gre, erspan

        /// Whether the destination is another machine.
        public var isTunnel: Bool {
            switch self {
            case .interface, .monitor, .domain: false
            case .vxlan, .geneve, .gre, .erspan: true
            }
        }
    }

    public var kind: Kind {
        switch self {
        case .interface: .interface
        case .monitor: .monitor
        case .domain: .domain
        case .tunnel(let tunnel): tunnel.kind.destinationKind
        }
    }
}

/// How a tap says where its copies go.
public enum DestinationReference: Hashable, Codable, Sendable {
    /// `to`: a destination that the host defines.
    case named(TapName)
    /// An inline `<destination>`, allowed only as far as the host's policy says.
    case inline(DestinationTarget)

    /// The destination's name in status, pins and logs. Inline destinations are named after what they are.
    public var label: String {
        switch self {
        case .named(let name): name.text
        case .inline(.tunnel(let tunnel)): tunnel.label
        case .inline(.interface(let name, _)): "interface:\(name)"
        case .inline(.monitor(let name)): "monitor:\(name)"
        case .inline(.domain(let name, let uuid, _, _)): "domain:\(name ?? uuid?.description ?? "")"
        }
    }
}

/// A `<destination name>` of the host's configuration.
public struct DestinationDefinition: Hashable, Sendable {
    public var name: TapName
    public var target: DestinationTarget
    /// Upper limit of all copies to the destination.
    public var rate: RateLimit?
    /// The largest IP packet in bytes, 576 to 65535: of a tunnel the path's MTU, where it is smaller than the route says; of a device of this
    /// host see `resolvingMTU`.
    public var mtu: UInt32?
    /// Who may use it; empty: every domain.
    public var allow: [DomainPattern]

    public init(name: TapName, target: DestinationTarget, rate: RateLimit? = nil, mtu: UInt32? = nil, allow: [DomainPattern] = []) {
        self.name = name
        self.target = target
        self.rate = rate
        self.mtu = mtu
        self.allow = allow
    }

    /// The MTU to which offloads are resolved in copies for a device of this host; `nil`: offloads are left as they are.
    public var resolvingMTU: UInt32? { target.kind.isTunnel ? nil : mtu }

    public func allows(_ domain: DomainDefinition) -> Bool {
        allow.isEmpty || allow.contains { $0.matches(domain) }
    }
}
