// SPDX-License-Identifier: LGPL-2.1-or-later

/// Frames counted, as a wire would have carried them: a GSO packet counts as its segments.
public struct Counter: Hashable, Codable, Sendable {
    public var packets: UInt64
    /// Of the original frames, with their Ethernet headers and VLAN tags and without the frame check sequence.
    public var bytes: UInt64

    public init(packets: UInt64 = 0, bytes: UInt64 = 0) {
        self.packets = packets
        self.bytes = bytes
    }

    public static func + (left: Self, right: Self) -> Self {
        Counter(packets: left.packets &+ right.packets, bytes: left.bytes &+ right.bytes)
    }

    public static func += (left: inout Self, right: Self) { left = left + right }
}
