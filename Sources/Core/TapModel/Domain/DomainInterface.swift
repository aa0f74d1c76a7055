// SPDX-License-Identifier: LGPL-2.1-or-later

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
