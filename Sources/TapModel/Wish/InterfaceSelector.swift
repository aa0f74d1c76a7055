// SPDX-License-Identifier: LGPL-2.1-or-later

/// An `<interface>` child of a tap: all that it names must match one interface of the domain.
public struct InterfaceSelector: Hashable, Codable, Sendable {
    public var mac: MACAddress?
    /// libvirt's alias, `net0` or the user's own `ua-…`.
    public var alias: String?
    /// The bridge that `<source bridge>` names.
    public var bridge: String?
    /// The network that `<source network>` names.
    public var network: String?

    public init(mac: MACAddress? = nil, alias: String? = nil, bridge: String? = nil, network: String? = nil) {
        self.mac = mac
        self.alias = alias
        self.bridge = bridge
        self.network = network
    }

    public func matches(_ interface: DomainInterface) -> Bool {
        (mac == nil || mac == interface.mac) && (alias == nil || alias == interface.alias)
            && (bridge == nil || bridge == interface.bridge) && (network == nil || network == interface.network)
    }
}
