// SPDX-License-Identifier: LGPL-2.1-or-later

/// A `<destination name>` of the host's configuration.
public struct DestinationDefinition: Hashable, Sendable {
    public var name: TapName
    public var target: DestinationTarget
    /// Upper limit of all copies to it.
    public var rate: RateLimit?
    /// What fits, in bytes of an IP packet, 576 to 65535: of a tunnel's path, when that is known to be less than the route says; else see
    /// `resolvingMTU`.
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

    /// `mtu` where it means that copies for a device of this host are finished: made what a wire would have carried.
    public var resolvingMTU: UInt32? { target.kind.isTunnel ? nil : mtu }

    public func allows(_ domain: DomainDefinition) -> Bool {
        allow.isEmpty || allow.contains { $0.matches(domain) }
    }
}
