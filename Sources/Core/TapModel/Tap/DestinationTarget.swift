// SPDX-License-Identifier: LGPL-2.1-or-later

/// Where copies go: what stands inside a `<destination>`, on the host or inline in the metadata.
public enum DestinationTarget: Hashable, Codable, Sendable {
    /// A netdev of the host. `allowShared` permits one that carries other traffic too.
    case interface(name: String, allowShared: Bool)
    /// A monitor port of ours, which virt-tapd makes: sensors of this host listen at the device of that name.
    case monitor(name: String)
    /// A sensor VM on this host, one of its interfaces chosen by MAC or alias. At least one of name and UUID; with
    /// both, both must match.
    case domain(name: String?, uuid: DomainUUID?, mac: MACAddress?, alias: String?)
    /// A tunnel to another machine.
    case tunnel(Tunnel)

    /// The element's name in the metadata and the configuration, and `kind` in the status document.
    public enum Kind: String, CaseIterable, Codable, Sendable {
        case interface, monitor, domain, vxlan, geneve, gre, erspan

        /// Whether it is one to another machine.
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
