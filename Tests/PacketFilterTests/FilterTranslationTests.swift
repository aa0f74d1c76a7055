// SPDX-License-Identifier: LGPL-2.1-or-later

import PacketFilter
import PacketFilterTestSupport
import TestSupport
import Testing

@Suite("What is made of a classic program")
struct FilterTranslationTests {
    /// `code` of struct bpf_insn.
    private func code(_ instruction: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: instruction.littleEndian) }

    @Test("Returns are all that is left of what returns")
    func constants() throws {
        let always = try FilterTranslation.translate(ClassicProgram([ClassicInstruction(code: 0x06, constant: 262_144)]))
        #expect(always.suffix(2) == [0x1_0000_00B4, 0x95])
        let never = try FilterTranslation.translate(ClassicProgram([ClassicInstruction(code: 0x06, constant: 0)]))
        #expect(never.suffix(2) == [0x0000_00B4, 0x95])
    }

    @Test("Every expression is translated, with no LD_ABS or LD_IND, and nothing newer than Linux 5.10", arguments: [false, true])
    func instructions(_ random: Bool) throws {
        let handle = PcapHandle.offline()
        var seeded = SeededGenerator(seed: 10)
        let programs =
            random
            ? (0..<500).map { _ in RandomProgram.make(&seeded) }
            : try Expressions.all.map { try PcapFilter($0, handle).instructions }
        if !random { #expect(programs.count >= 300) }
        for program in programs {
            let translated = try FilterTranslation.translate(ClassicProgram(program))
            // BPF_LD with BPF_ABS or BPF_IND.
            #expect(!translated.contains { code($0) & 0xE7 == 0x20 || code($0) & 0xE7 == 0x40 })
            // A jump of 32 bits, a load with a sign, a swap without condition: -mcpu=v4.
            #expect(!translated.contains { code($0) == 0x06 || code($0) & 0xE7 == 0x81 || code($0) == 0xD7 })
            #expect(translated == (try FilterTranslation.translate(ClassicProgram(program))))
        }
    }

    @Test("A comparison with what was loaded costs no conversion, and one check is enough for a header")
    func isTight() throws {
        let filter = try PcapFilter("ip and udp dst port 53", .offline())
        let translated = try FilterTranslation.translate(ClassicProgram(filter.instructions))
        // r6 := r1; data; data_end; one check of three; loads and jumps.
        let fast = translated.prefix { code($0) != 0x95 }
        #expect(fast.filter { code($0) == 0xDC }.isEmpty)
        #expect(fast.filter { code($0) == 0x2D }.count == 1)
        #expect(fast.filter { code($0) == 0x85 }.isEmpty)
    }

    @Test("A jump that does not reach is an error")
    func tooFar() throws {
        // One branch at the start to what is at the end, over loads.
        var program = [
            ClassicInstruction(code: 0x30, constant: 0), ClassicInstruction(code: 0x15, jumpFalse: 1, constant: 1),
            ClassicInstruction(code: 0x05, constant: 30_000),
        ]
        program += Array(repeating: [ClassicInstruction(code: 0x20, constant: 0), .init(code: 0x07, constant: 0)], count: 15_000).flatMap {
            $0
        }
        program += [ClassicInstruction(code: 0x06, constant: 0), ClassicInstruction(code: 0x16, constant: 0)]
        let classic = try ClassicProgram(program)
        #expect(throws: FilterError.tooLarge(instructions: program.count)) { try FilterTranslation.translate(classic) }
    }
}
