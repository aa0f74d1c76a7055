// SPDX-License-Identifier: LGPL-2.1-or-later

/// An IP address that a device of this host has, and the network that is on its link by that.
public struct DeviceAddress: Hashable, Sendable {
    /// 4 or 16 bytes in network order.
    public var address: [UInt8]
    /// Of a link between two machines only the other one.
    public var network: AddressRange

    /// - Parameters:
    ///   - peer: the other machine, on a link between two; `nil`: there is none, or many.
    ///   - prefixLength: of the network.
    /// - Returns: `nil` for a prefix that does not fit the address.
    public init?(_ address: [UInt8], peer: [UInt8]? = nil, prefixLength: Int) {
        guard let network = AddressRange(address: peer ?? address, prefixLength: prefixLength) else { return nil }
        self.address = address
        self.network = network
    }

    /// Such as `10.9.0.2/24`.
    public var text: String { "\(IPAddress.text(address))/\(network.prefixLength)" }
}
