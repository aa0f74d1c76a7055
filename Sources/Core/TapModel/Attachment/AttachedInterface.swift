// SPDX-License-Identifier: LGPL-2.1-or-later

/// The interface of a domain and the device that was proved to be its host side.
public struct AttachedInterface: Hashable, Codable, Sendable {
    public var alias: String?
    /// The guest's address, as in the XML.
    public var mac: MACAddress
    public var type: InterfaceType
    /// What libvirt calls the device, whatever others call it since.
    public var device: String
    /// Whether the device is a macvtap, on which the TC hooks see the guest the other way round.
    public var isMacvtap: Bool
    /// What the device was like when it was proved; `nil` in what an earlier version pinned.
    public var traits: DeviceTraits?

    public init(alias: String?, mac: MACAddress, type: InterfaceType, device: String, isMacvtap: Bool, traits: DeviceTraits? = nil) {
        self.alias = alias
        self.mac = mac
        self.type = type
        self.device = device
        self.isMacvtap = isMacvtap
        self.traits = traits
    }
}
