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
    /// The name in `<target dev>` that somebody wrote there, which libvirt keeps; what the device is called later does not count.
    public var device: String?

    public init(mac: MACAddress? = nil, alias: String? = nil, bridge: String? = nil, network: String? = nil, device: String? = nil) {
        self.mac = mac
        self.alias = alias
        self.bridge = bridge
        self.network = network
        self.device = device
    }

    public func matches(_ interface: DomainInterface) -> Bool {
        (mac == nil || mac == interface.mac) && (alias == nil || alias == interface.alias)
            && (bridge == nil || bridge == interface.bridge) && (network == nil || network == interface.network)
            && (device == nil || device == interface.device)
    }

    /// What the names begin with that libvirt gives devices itself, anew at each start. It drops a `<target dev>` like that from a
    /// definition.
    public static let generatedPrefixes = ["vnet", "vif", "macvtap", "macvlan"]

    /// Whether a device's name is one of those.
    public static func isGenerated(_ device: String) -> Bool { generatedPrefixes.contains { device.hasPrefix($0) } }

    /// Whether libvirt may call an interface so: `net0`, `hostdev0`, or the user's own `ua-…`.
    public static func mayBeAlias(_ text: String) -> Bool {
        if text.hasPrefix("ua-") { return true }
        guard let prefix = ["net", "hostdev"].first(where: { text.hasPrefix($0) }) else { return false }
        let number = text.utf8.dropFirst(prefix.utf8.count)
        return !number.isEmpty && number.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }
}
