// SPDX-License-Identifier: LGPL-2.1-or-later

/// How copies get to a destination at the moment: the contents of its slot in the kernel's destination map.
public struct DestinationRoute: Hashable, Sendable {
    public var kind: DestinationTarget.Kind
    /// The ifindex of the device that takes the copies; 0: there is none at the moment, and copies are counted as errors.
    public var ifindex: UInt32
    /// Whether the device receives copies, as if they had come in by it, instead of sending them: only so does a macvtap's guest get them.
    public var isReceiving: Bool
    /// The upper limit of all copies to the destination.
    public var rate: RateLimit?

    /// The outer headers in which copies are encapsulated; `nil`: none.
    public var tunnel: TunnelHeader?
    /// The last specific route to another machine to which nothing can be sent now.
    public var specificRoute: SpecificRoute?
    /// The largest IP packet in bytes that a device of this host gets when offloads are resolved; `nil`: copies are sent as the host has them.
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

/// A route to another machine that is not the default route.
///
/// It is kept with the destination while nothing can be sent there, so that a later daemon, which sees only the kernel's maps, knows that
/// copies must not follow the default route instead.
public struct SpecificRoute: Hashable, Sendable {
    /// The address of the other machine: 4 or 16 bytes in network order.
    public var remote: [UInt8]
    /// The ifindex of the route's device; 0: the device has gone.
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
    /// The ifindex of the device that copies are sent to; 0: there is none at the moment, and copies are counted as errors.
    public var ifindex: UInt32
    /// Copies that the device took, as a wire would have carried the frames.
    public var sent: Counter
    /// Copies that the device took, as it got them: truncated, and without the headers that the segments of a whole GSO packet will have. At
    /// most 128 segments of such a packet count as packets.
    public var given: Counter
    /// Copies that the device would have got, but did not take, or that had no device.
    public var wanted: Counter
    /// Copies that the device did not take, or that could not be made as the tap asks for (truncated, for example).
    public var errors: Counter
    /// The time of the latest error; `nil`: there was none.
    public var lastError: Timestamp?
    /// Frames that were not copied because the destination's `rate` was used up.
    public var rateLimited: Counter
    /// Copies to another machine that were too large for the path and were sent in several packets.
    public var fragmented: Counter
    /// Copies to another machine that were too large for the path and were truncated.
    public var truncated: Counter
    /// Copies to another machine that were too large for the path and were dropped.
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
