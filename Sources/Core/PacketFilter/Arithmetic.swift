// SPDX-License-Identifier: LGPL-2.1-or-later

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
    /// Whether it makes no difference to it in which order the bytes are.
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
