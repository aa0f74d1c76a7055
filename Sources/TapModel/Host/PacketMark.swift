// SPDX-License-Identifier: LGPL-2.1-or-later

/// The bits of skb->mark that copies carry, so that tapped devices pass them over.
public struct PacketMark: Hashable, Codable, Sendable {
    /// Not zero, and within `mask`.
    public var value: UInt32
    /// Not zero.
    public var mask: UInt32

    public init(value: UInt32 = 0x2000, mask: UInt32 = 0x2000) {
        self.value = value
        self.mask = mask
    }
}
