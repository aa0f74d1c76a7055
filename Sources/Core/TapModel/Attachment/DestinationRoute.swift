// SPDX-License-Identifier: LGPL-2.1-or-later

/// How copies get to a destination at the moment: what its place in the kernel's table says.
public struct DestinationRoute: Hashable, Sendable {
    public var kind: DestinationTarget.Kind
    /// The device that takes the copies; 0: none at the moment, copies are counted as errors.
    public var ifindex: UInt32
    /// Whether copies are handed to the device as if they had come in by it (a macvtap's guest gets those), and not to be sent by it.
    public var isReceiving: Bool
    /// The upper limit of all copies to the destination.
    public var rate: RateLimit?

    /// What copies are wrapped in; `nil`: nothing.
    public var tunnel: TunnelHeader?
    /// Of another machine to which nothing can be sent now: the way that it had.
    public var specificRoute: SpecificRoute?
    /// How large an IP packet may be that a device of this host gets, in bytes, for copies that are to be finished; `nil`: as the
    /// host has them.
    public var mtu: UInt32?

    public init(
        kind: DestinationTarget.Kind, ifindex: UInt32, isReceiving: Bool = false, rate: RateLimit? = nil, tunnel: TunnelHeader? = nil,
        specificRoute: SpecificRoute? = nil, mtu: UInt32? = nil
    ) {
        self.kind = kind
        self.ifindex = ifindex
        self.isReceiving = isReceiving
        self.rate = rate
        self.tunnel = tunnel
        self.specificRoute = specificRoute
        self.mtu = mtu
    }
}
