// SPDX-License-Identifier: LGPL-2.1-or-later

public import PacketFilter
public import TestSupport

/// Classic programs that no expression makes: every instruction beside every other.
public enum RandomProgram {
    private static let offsets: [UInt32] = [
        0, 6, 12, 13, 14, 15, 16, 18, 20, 22, 23, 26, 30, 34, 36, 38, 40, 46, 47, 54, 56, 60, 64, 100, 300, 1400, 1514,
    ]
    private static let constants: [UInt32] = [
        0, 1, 2, 4, 5, 6, 8, 15, 17, 20, 22, 31, 53, 60, 64, 80, 100, 0xF0, 0xFF, 0x800, 0x806, 0x86DD, 0x8100, 0x1FFF, 0xFFF, 0xFFFF,
        0x1_0000, 0x4500,
        0xC000_0201, 0xC000_0200, 0xFFFF_FF00, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF,
    ]

    /// A valid program, at most some 60 instructions.
    /// - Parameter tags: whether it may ask for the VLAN tag in skb metadata.
    public static func make(_ random: inout SeededGenerator, tags: Bool = false) -> [ClassicInstruction] {
        let count = Int.random(in: 3...56, using: &random)
        let slots = UInt32.random(in: 1...16, using: &random)
        // Scratch memory has to be written before it is read, on each path.
        var program: [ClassicInstruction] = (0..<slots).map { ClassicInstruction(code: $0 & 1 == 0 ? 0x02 : 0x03, constant: $0) }
        if random.once(in: 2) { program.insert(ClassicInstruction(code: 0x20, constant: 26), at: 0) }
        let returns = Int.random(in: 1...3, using: &random)
        let end = program.count + count
        while program.count < end {
            if tags, random.once(in: 6) {
                // SKF_AD_VLAN_TAG, SKF_AD_VLAN_TAG_PRESENT, SKF_AD_VLAN_TPID, and what they are compared with.
                program.append(ClassicInstruction(code: 0x28, constant: 0xFFFF_F000 + [44, 48, 60].randomElement(using: &random)!))
                var comparison = branch(&random, end - program.count - 1)
                if random.once(in: 2) {
                    comparison.code = 0x15
                    comparison.constant = [0, 1, 5, 7, 100, 0xE005, 0x8100, 0x88A8].randomElement(using: &random)!
                }
                program.append(comparison)
            }
            // What libpcap makes: load, mask, compare.
            if random.once(in: 4) {
                program.append(ClassicInstruction(code: [0x20, 0x28, 0x30].randomElement(using: &random)!, constant: offset(&random)))
                if random.once(in: 2) {
                    program.append(
                        ClassicInstruction(code: [0x54, 0x54, 0x44, 0xA4].randomElement(using: &random)!, constant: constant(&random)))
                }
                program.append(branch(&random, end - program.count - 1))
            } else {
                program.append(instruction(&random, slots, end - program.count - 1))
            }
        }
        for number in 0..<returns {
            program.append(ClassicInstruction(code: random.once(in: 4) ? 0x16 : 0x06, constant: number & 1 == 0 ? 0 : 65_535))
        }
        program.append(ClassicInstruction(code: 0x06, constant: 1))
        return program
    }

    private static func offset(_ random: inout SeededGenerator) -> UInt32 {
        random.once(in: 8) ? UInt32.random(in: 0...1600, using: &random) : offsets.randomElement(using: &random)!
    }

    private static func constant(_ random: inout SeededGenerator) -> UInt32 {
        random.once(in: 8) ? UInt32.random(in: 0...UInt32.max, using: &random) : constants.randomElement(using: &random)!
    }

    /// At least one return follows what is left.
    private static func branch(_ random: inout SeededGenerator, _ left: Int) -> ClassicInstruction {
        let reach = max(0, min(left, 20))
        let operation: UInt16 = [0x10, 0x10, 0x20, 0x30, 0x40].randomElement(using: &random)!
        return ClassicInstruction(
            code: 0x05 | operation | (random.once(in: 4) ? 8 : 0), jumpTrue: UInt8.random(in: 0...UInt8(reach), using: &random),
            jumpFalse: random.once(in: 2) ? 0 : UInt8.random(in: 0...UInt8(reach), using: &random), constant: constant(&random))
    }

    private static func instruction(_ random: inout SeededGenerator, _ slots: UInt32, _ left: Int) -> ClassicInstruction {
        let slot = UInt32.random(in: 0..<slots, using: &random)
        switch Int.random(in: 0..<24, using: &random) {
        case 0, 1: return ClassicInstruction(code: [0x20, 0x28, 0x30].randomElement(using: &random)!, constant: offset(&random))
        case 2, 3:
            return ClassicInstruction(
                code: [0x40, 0x48, 0x50].randomElement(using: &random)!, constant: random.once(in: 6) ? constant(&random) : offset(&random))
        case 4: return ClassicInstruction(code: 0xB1, constant: random.once(in: 2) ? 14 : offset(&random))
        case 5: return ClassicInstruction(code: random.once(in: 2) ? 0x80 : 0x81, constant: 0)
        case 6: return ClassicInstruction(code: random.once(in: 2) ? 0x00 : 0x01, constant: constant(&random))
        case 7: return ClassicInstruction(code: 0x60, constant: slot)
        case 8: return ClassicInstruction(code: 0x61, constant: slot)
        case 9: return ClassicInstruction(code: 0x02, constant: slot)
        case 10: return ClassicInstruction(code: 0x03, constant: slot)
        case 11: return ClassicInstruction(code: 0x84, constant: 0)
        case 12, 13: return ClassicInstruction(code: 0x07, constant: 0)
        case 14: return ClassicInstruction(code: 0x87, constant: 0)
        case 15:
            return random.once(in: 8)
                ? ClassicInstruction(code: 0x05, constant: UInt32.random(in: 0...UInt32(max(0, min(left, 30))), using: &random))
                : branch(&random, left)
        case 16: return ClassicInstruction(code: 0x54, constant: random.once(in: 2) ? 0x0F : 0x3F)
        case 17:
            return ClassicInstruction(
                code: random.once(in: 2) ? 0x64 : 0x74, constant: random.once(in: 2) ? 2 : UInt32.random(in: 0...31, using: &random))
        case 18...20: return branch(&random, left)
        default: return arithmetic(&random)
        }
    }

    private static func arithmetic(_ random: inout SeededGenerator) -> ClassicInstruction {
        let operation: UInt16 = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xA0].randomElement(using: &random)!
        if random.once(in: 2) { return ClassicInstruction(code: 0x0C | operation, constant: 0) }
        var value = constant(&random)
        if operation == 0x60 || operation == 0x70 { value %= 32 }
        if operation == 0x30 || operation == 0x90 { value = max(1, value) }
        return ClassicInstruction(code: 0x04 | operation, constant: value)
    }
}
