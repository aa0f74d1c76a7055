// SPDX-License-Identifier: LGPL-2.1-or-later

/// One instruction of classic BPF, `struct sock_filter` of linux/filter.h.
public struct ClassicInstruction: Hashable, Sendable {
    public var code: UInt16
    /// How many instructions to pass over when a comparison holds.
    public var jumpTrue: UInt8
    /// How many when it does not.
    public var jumpFalse: UInt8
    public var constant: UInt32

    public init(code: UInt16, jumpTrue: UInt8 = 0, jumpFalse: UInt8 = 0, constant: UInt32) {
        self.code = code
        self.jumpTrue = jumpTrue
        self.jumpFalse = jumpFalse
        self.constant = constant
    }

    /// `code` in bits 0 to 15, `jt` in 16 to 23, `jf` in 24 to 31, `k` in 32 to 63.
    public init(word: UInt64) {
        code = UInt16(truncatingIfNeeded: word)
        jumpTrue = UInt8(truncatingIfNeeded: word >> 16)
        jumpFalse = UInt8(truncatingIfNeeded: word >> 24)
        constant = UInt32(truncatingIfNeeded: word >> 32)
    }

    public var word: UInt64 { UInt64(code) | UInt64(jumpTrue) << 16 | UInt64(jumpFalse) << 24 | UInt64(constant) << 32 }
}
