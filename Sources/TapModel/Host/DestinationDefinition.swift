// SPDX-License-Identifier: LGPL-2.1-or-later

/// A `<destination name>` of the host's configuration.
public struct DestinationDefinition: Hashable, Sendable {
    public var name: TapName
    public var target: DestinationTarget
    /// Upper limit of all copies to it.
    public var rate: RateLimit?
    /// The MTU of the path, in bytes, 576 to 65535, when it is known to be less than the route says.
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

    public func allows(_ domain: DomainDefinition) -> Bool {
        allow.isEmpty || allow.contains { $0.matches(domain) }
    }
}
