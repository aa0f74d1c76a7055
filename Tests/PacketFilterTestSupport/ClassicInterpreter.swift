// SPDX-License-Identifier: LGPL-2.1-or-later

public import PacketFilter

/// Classic BPF as the kernel's socket filter runs it, written without a look at the translator: a third opinion where
/// libpcap's interpreter and the kernel are known to differ.
public struct ClassicInterpreter {
    /// What a program says of a frame.
    public struct Outcome: Hashable, Sendable {
        public var matches: Bool
        /// libpcap may say otherwise: a shift by 32 or more came up (it gives 0, the kernel counts modulo 32), or X and an
        /// offset went beyond 2³² (it is beyond the frame for libpcap, and goes on at 0 in the kernel).
        public var mayDiffer: Bool
    }

    private let instructions: [ClassicInstruction]

    public init(_ instructions: [ClassicInstruction]) { self.instructions = instructions }

    /// - Parameter frame: without a tag beside it.
    public func run(_ frame: [UInt8]) -> Outcome {
        var (a, x): (UInt32, UInt32) = (0, 0)
        var memory = [UInt32](repeating: 0, count: 16)
        var (place, mayDiffer) = (0, false)
        func load(_ offset: UInt32, _ code: UInt16) -> UInt32? {
            let size = code & 0x18 == 0x00 ? 4 : code & 0x18 == 0x08 ? 2 : 1
            guard Int(offset) + size <= frame.count else { return nil }
            var value: UInt32 = 0
            for place in Int(offset)..<Int(offset) + size { value = value << 8 | UInt32(frame[place]) }
            return value
        }
        while true {
            let one = instructions[place]
            let k = one.constant
            place += 1
            switch one.code & 7 {
            case 0, 1:
                var value: UInt32
                switch one.code & 0xE0 {
                case 0x00: value = k
                case 0x20 where k >= 0xFFFF_F000: value = 0
                case 0x20:
                    guard let found = load(k, one.code) else { return Outcome(matches: false, mayDiffer: mayDiffer) }
                    value = found
                case 0x40:
                    if x.addingReportingOverflow(k).overflow { mayDiffer = true }
                    guard let found = load(x &+ k, one.code) else { return Outcome(matches: false, mayDiffer: mayDiffer) }
                    value = found
                case 0x60: value = memory[Int(k)]
                case 0x80: value = UInt32(frame.count)
                default:
                    guard let found = load(k, 0x10) else { return Outcome(matches: false, mayDiffer: mayDiffer) }
                    value = 4 * (found & 15)
                }
                if one.code & 7 == 0 { a = value } else { x = value }
            case 2: memory[Int(k)] = a
            case 3: memory[Int(k)] = x
            case 4:
                let right = one.code & 8 == 0 ? k : x
                switch one.code & 0xF0 {
                case 0x00: a = a &+ right
                case 0x10: a = a &- right
                case 0x20: a = a &* right
                case 0x30, 0x90:
                    guard right != 0 else { return Outcome(matches: false, mayDiffer: mayDiffer) }
                    a = one.code & 0xF0 == 0x30 ? a / right : a % right
                case 0x40: a |= right
                case 0x50: a &= right
                case 0x60, 0x70:
                    if right >= 32 { mayDiffer = true }
                    a = one.code & 0xF0 == 0x60 ? a << (right % 32) : a >> (right % 32)
                case 0x80: a = 0 &- a
                default: a ^= right
                }
            case 5:
                let right = one.code & 8 == 0 ? k : x
                let holds: Bool
                switch one.code & 0xF0 {
                case 0x00:
                    place += Int(k)
                    continue
                case 0x10: holds = a == right
                case 0x20: holds = a > right
                case 0x30: holds = a >= right
                default: holds = a & right != 0
                }
                place += Int(holds ? one.jumpTrue : one.jumpFalse)
            case 6: return Outcome(matches: (one.code & 0x18 == 0x10 ? a : k) != 0, mayDiffer: mayDiffer)
            default: if one.code & 0x80 == 0 { x = a } else { a = x }
            }
        }
    }
}
