// SPDX-License-Identifier: LGPL-2.1-or-later

/// One instruction of classic BPF, `struct sock_filter` of linux/filter.h.
public struct ClassicInstruction: Hashable, Sendable {
    public var code: UInt16
    /// How many instructions to skip when the comparison holds.
    public var jumpTrue: UInt8
    /// How many instructions to skip when the comparison does not hold.
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

/// One decoded instruction of classic BPF. Targets of jumps are positions in the program.
enum ClassicOperation: Hashable, Sendable {
    /// A := bytes at an offset from the frame's start, at most `Int32.max`.
    case loadAbsolute(UInt32, LoadWidth)
    /// A := bytes at X + an offset, modulo 2³².
    case loadIndirect(UInt32, LoadWidth)
    /// X := 4 × (low four bits of the byte at an offset): an IPv4 header's length.
    case loadHeaderLength(UInt32)
    case loadMetadatum(Metadatum, ClassicRegister)
    case loadConstant(UInt32, ClassicRegister)
    case loadScratch(Int, ClassicRegister)
    case store(Int, ClassicRegister)
    case arithmetic(Arithmetic, Operand)
    case negate
    case copyAToX
    case copyXToA
    case jump(Int)
    case branch(Comparison, Operand, Int, Int)
    case returnConstant(UInt32)
    case returnA

    /// The positions that may follow an instruction at `position`.
    func successors(_ position: Int) -> [Int] {
        switch self {
        case .returnConstant, .returnA: []
        case .jump(let target): [target]
        case .branch(_, _, let whenTrue, let whenFalse): whenTrue == whenFalse ? [whenTrue] : [whenTrue, whenFalse]
        default: [position + 1]
        }
    }
}

/// The two registers of classic BPF, 32 bits each and 0 at first.
enum ClassicRegister: Hashable, Sendable {
    case a, x
}

/// The right side of arithmetic and comparisons.
enum Operand: Hashable, Sendable {
    case constant(UInt32)
    case x
}

/// A := A ∘ operand, in 32 bits. Raw values are `BPF_OP` of linux/bpf_common.h; eBPF has the same.
enum Arithmetic: UInt8, Hashable, Sendable {
    case add = 0x00
    case subtract = 0x10
    case multiply = 0x20
    case divide = 0x30
    case or = 0x40
    case and = 0x50
    case shiftLeft = 0x60
    case shiftRight = 0x70
    case modulo = 0x90
    case exclusiveOr = 0xA0

    var divides: Bool { self == .divide || self == .modulo }
    var shifts: Bool { self == .shiftLeft || self == .shiftRight }
    /// Whether the result is the same in any byte order.
    var isBitwise: Bool { self == .or || self == .and || self == .exclusiveOr }

    /// `nil` for a division by 0. A shift counts modulo 32, as the kernel's does.
    func result(_ left: UInt32, _ right: UInt32) -> UInt32? {
        switch self {
        case .add: left &+ right
        case .subtract: left &- right
        case .multiply: left &* right
        case .divide: right == 0 ? nil : left / right
        case .or: left | right
        case .and: left & right
        case .shiftLeft: left &<< right
        case .shiftRight: left &>> right
        case .modulo: right == 0 ? nil : left % right
        case .exclusiveOr: left ^ right
        }
    }
}

/// How a conditional jump compares A, as unsigned numbers. Raw values are `BPF_OP` of linux/bpf_common.h; eBPF has the same.
enum Comparison: UInt8, Hashable, Sendable {
    case equal = 0x10
    case greater = 0x20
    case greaterOrEqual = 0x30
    /// Any bit in common.
    case anyBit = 0x40

    /// The BPF_OP of eBPF that jumps when the comparison does not hold; `nil` for `anyBit`, which has none.
    var opposite: UInt8? {
        switch self {
        case .equal: 0x50
        case .greater: 0xB0
        case .greaterOrEqual: 0xA0
        case .anyBit: nil
        }
    }

    func holds(_ left: UInt32, _ right: UInt32) -> Bool {
        switch self {
        case .equal: left == right
        case .greater: left > right
        case .greaterOrEqual: left >= right
        case .anyBit: left & right != 0
        }
    }
}

/// The number of bytes that one load reads from the frame, in network byte order.
enum LoadWidth: Int, Hashable, Sendable {
    case byte = 1
    case half = 2
    case word = 4

    /// The largest value of this width.
    var maximum: UInt32 {
        switch self {
        case .byte: 0xFF
        case .half: 0xFFFF
        case .word: .max
        }
    }

    /// A value as the machine sees it when it loads network byte order as its own. Bits beyond the width are dropped.
    func asLoaded(_ value: UInt32) -> UInt32 {
        switch self {
        case .byte: value & 0xFF
        case .half: UInt32(UInt16(truncatingIfNeeded: value).bigEndian)
        case .word: value.bigEndian
        }
    }
}

/// What a filter can ask about a frame other than its bytes.
enum Metadatum: Hashable, Sendable {
    /// Length of the frame in bytes, without a VLAN tag in skb metadata.
    case length
    /// TCI of the VLAN tag in skb metadata, 0 if there is none. All 16 bits for any width of the load, as in the kernel.
    case vlanTag
    /// 1 if there is a VLAN tag in skb metadata, else 0.
    case vlanTagPresent
    /// TPID of the VLAN tag in skb metadata, such as 0x8100; 0 if there is none.
    case vlanProtocol

    /// Offset of the 32 bits in `struct __sk_buff` of linux/bpf.h.
    var offset: Int16 {
        switch self {
        case .length: 0
        case .vlanTagPresent: 20
        case .vlanTag: 24
        case .vlanProtocol: 28
        }
    }
}
