// SPDX-License-Identifier: LGPL-2.1-or-later

/// How packets get from this host to an address: what the outer headers of a tunnel are made of.
public struct UnderlayPath: Hashable, Sendable {
    /// The device that they leave by.
    public var ifindex: UInt32
    public var device: String
    /// The source address that the host gives them: 4 or 16 bytes in network order.
    public var source: [UInt8]
    public var sourceMAC: MACAddress
    /// Who takes them next, the gateway or the address itself.
    public var nextHop: [UInt8]
    /// `nil`: it has not answered (yet).
    public var nextHopMAC: MACAddress?
    /// The least that the device and the route take: bytes of an IP packet.
    public var mtu: UInt32
    /// How many bits of the address the route that leads there is for; 0: it is the default route.
    public var prefixLength: Int

    public init(
        ifindex: UInt32, device: String, source: [UInt8], sourceMAC: MACAddress, nextHop: [UInt8], nextHopMAC: MACAddress?, mtu: UInt32,
        prefixLength: Int = 24
    ) {
        self.ifindex = ifindex
        self.device = device
        self.source = source
        self.sourceMAC = sourceMAC
        self.nextHop = nextHop
        self.nextHopMAC = nextHopMAC
        self.mtu = mtu
        self.prefixLength = prefixLength
    }

    /// Whether a route for everything leads there, and none that somebody made for this address or its network. Also the two halves
    /// that stand in for a default route (0.0.0.0/1, as VPNs have them), and 2000::/3, in which all public addresses are.
    public var isByDefaultRoute: Bool { prefixLength <= (source.count == 4 ? 1 : 3) }
}
