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

/// A way to another machine that was not the default route. It is kept with the destination also while nothing can be sent there: who
/// sees only the kernel later is to know that copies do not follow the default route instead.
public struct SpecificRoute: Hashable, Sendable {
    /// 4 or 16 bytes in network order.
    public var remote: [UInt8]
    /// The device's; 0: it has gone.
    public var ifindex: UInt32

    public init(remote: [UInt8], ifindex: UInt32) {
        self.remote = remote
        self.ifindex = ifindex
    }
}

/// A destination as the kernel's destination map has it.
public struct DestinationRecord: Hashable, Sendable {
    /// The name in the configuration, or an inline destination's label.
    public var label: String
    public var kind: DestinationTarget.Kind
    /// The device that copies are sent to; 0: none at the moment, copies are counted as errors.
    public var ifindex: UInt32
    /// Copies that the device took, as a wire would have carried the frames.
    public var sent: Counter
    /// The same as the device was given them: without what was cut off, and without the headers that each segment of a GSO packet will
    /// have that it was given as it is, of which at most 128 count as packets.
    public var given: Counter
    /// Of those that were not made because the device did not take them, or because there is none: what it would have been given.
    public var wanted: Counter
    /// Copies that it did not take, or that could not be made what was asked for (cut) on the way.
    public var errors: Counter
    /// When the latest of them was; `nil`: there was none.
    public var lastError: Timestamp?
    /// Frames that were not copied because the destination's `rate` was used up.
    public var rateLimited: Counter
    /// Copies that were too large for the path to another machine, by what became of them: sent in several packets,
    public var fragmented: Counter
    /// cut, or
    public var truncated: Counter
    /// dropped.
    public var oversized: Counter

    public init(
        label: String, kind: DestinationTarget.Kind, ifindex: UInt32, sent: Counter = Counter(), given: Counter? = nil,
        wanted: Counter = Counter(), errors: Counter = Counter(), lastError: Timestamp? = nil,
        rateLimited: Counter = Counter(), fragmented: Counter = Counter(), truncated: Counter = Counter(), oversized: Counter = Counter()
    ) {
        self.label = label
        self.kind = kind
        self.ifindex = ifindex
        self.sent = sent
        self.given = given ?? sent
        self.wanted = wanted
        self.errors = errors
        self.lastError = lastError
        self.rateLimited = rateLimited
        self.fragmented = fragmented
        self.truncated = truncated
        self.oversized = oversized
    }
}
