// SPDX-License-Identifier: LGPL-2.1-or-later

/// What a conditional jump asks of A, without a sign. Raw values are `BPF_OP` of linux/bpf_common.h; eBPF has the same.
enum Comparison: UInt8, Hashable, Sendable {
    case equal = 0x10
    case greater = 0x20
    case greaterOrEqual = 0x30
    /// Any bit in common.
    case anyBit = 0x40

    /// BPF_OP of eBPF that jumps when this does not hold; there is none for `anyBit`.
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
