// SPDX-License-Identifier: LGPL-2.1-or-later

/// The interface of a domain and the device that was proved to be its host side.
public struct AttachedInterface: Hashable, Codable, Sendable {
    public var alias: String?
    /// The guest's address, as in the XML.
    public var mac: MACAddress
    public var type: InterfaceType
    /// The device's name when it was attached.
    public var device: String
    /// Whether the device is a macvtap, on which the TC hooks see the guest the other way round.
    public var isMacvtap: Bool

    public init(alias: String?, mac: MACAddress, type: InterfaceType, device: String, isMacvtap: Bool) {
        self.alias = alias
        self.mac = mac
        self.type = type
        self.device = device
        self.isMacvtap = isMacvtap
    }
}
