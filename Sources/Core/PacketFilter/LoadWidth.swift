// SPDX-License-Identifier: LGPL-2.1-or-later

/// How many bytes of the frame one load takes, in the network's order.
enum LoadWidth: Int, Hashable, Sendable {
    case byte = 1
    case half = 2
    case word = 4

    /// The largest value that so many bytes hold.
    var maximum: UInt32 {
        switch self {
        case .byte: 0xFF
        case .half: 0xFFFF
        case .word: .max
        }
    }

    /// What a value looks like when the machine loads it as if it were in the machine's own order. Bits that do not fit are dropped.
    func asLoaded(_ value: UInt32) -> UInt32 {
        switch self {
        case .byte: value & 0xFF
        case .half: UInt32(UInt16(truncatingIfNeeded: value).bigEndian)
        case .word: value.bigEndian
        }
    }
}
