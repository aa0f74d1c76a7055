// SPDX-License-Identifier: LGPL-2.1-or-later

/// What copies carry in skb->mark, so that tapped devices pass them over.
public struct PacketMark: Hashable, Codable, Sendable {
    /// Not zero, and within `mask`.
    public var value: UInt32
    /// The bits that are looked at, and set in copies. Not zero.
    public var mask: UInt32

    /// Without a value the one that nobody is known to use: docs/reference/configuration.md lists who uses which, and a test compares.
    ///
    /// It has bits of its own that are set and others that are not, so that no single bit of somebody else's is taken for it, and leaves
    /// out those that others set and clear in passing (0x80, 0xef00, 0xff0000, 0x80000000): they would make copies unknown.
    public init(value: UInt32 = 0x5600_1014, mask: UInt32 = 0x7f00_107f) {
        self.value = value
        self.mask = mask
    }

    /// Whether a frame with this skb->mark is taken for a copy.
    public func isCarried(by mark: UInt32) -> Bool { mark & mask == value }

    /// Whether a rule for packets whose mark has `other` in the bits of `otherMask` fits copies, or those packets are taken for copies.
    public func collides(with other: UInt32, _ otherMask: UInt32 = .max) -> Bool {
        isCarried(by: other) || (other & otherMask != 0 && value & otherMask == other & otherMask)
    }
}

extension PacketMark: CustomStringConvertible {
    /// Such as `0x2000/0x2000`.
    public var description: String { "0x\(String(value, radix: 16))/0x\(String(mask, radix: 16))" }
}
