// SPDX-License-Identifier: LGPL-2.1-or-later

/// One interface of a tap in the status document.
public struct InterfaceStatus: Hashable, Codable, Sendable {
    @Nullable public var alias: String?
    @Nullable public var mac: MACAddress?
    @Nullable public var device: String?
    @Nullable public var ifindex: UInt32?
    @Nullable public var type: InterfaceType?
    /// `nil` while nothing is attached.
    @Nullable public var mechanism: Mechanism?
    /// Place in the hook's chain of programs, 0 the first; the later one where the directions differ.
    @Nullable public var position: Int?
    /// Since when the counters count.
    @Nullable public var since: Timestamp?
    public var state: TapState
    @Nullable public var reason: Reason?
    @Nullable public var message: String?
    /// `nil`: this direction is not tapped.
    @Nullable public var inbound: DirectionCounters?
    @Nullable public var outbound: DirectionCounters?

    public init(
        alias: String?, mac: MACAddress?, device: String?, ifindex: UInt32?, type: InterfaceType?, mechanism: Mechanism? = nil,
        position: Int? = nil, since: Timestamp? = nil, state: TapState, reason: Reason? = nil, message: String? = nil,
        inbound: DirectionCounters? = nil, outbound: DirectionCounters? = nil
    ) {
        self.alias = alias
        self.mac = mac
        self.device = device
        self.ifindex = ifindex
        self.type = type
        self.mechanism = mechanism
        self.position = position
        self.since = since
        self.state = state
        self.reason = reason
        self.message = message
        self.inbound = inbound
        self.outbound = outbound
    }
}
