// SPDX-License-Identifier: LGPL-2.1-or-later

import PacketFilter
import PacketFilterTestSupport
import Testing

@Suite("What is accepted as a classic program")
struct ClassicProgramTests {
    private static let accept = ClassicInstruction(code: 0x06, constant: 1)

    private func program(_ instructions: ClassicInstruction...) throws(FilterError) -> ClassicProgram {
        try ClassicProgram(instructions + [Self.accept])
    }

    @Test func keepsItsInstructions() throws {
        let instructions = [ClassicInstruction(code: 0x28, constant: 12), Self.accept]
        #expect(try ClassicProgram(instructions).instructions == instructions)
    }

    @Test(
        "Malformed ones are refused",
        arguments: [
            // Unknown codes, RET X among them.
            (ClassicInstruction(code: 0xFFFF, constant: 0), "unknown code 0xffff"), (.init(code: 0x0E, constant: 0), "unknown code 0xe"),
            (.init(code: 0x29, constant: 0), "unknown code 0x29"), (.init(code: 0x34, constant: 0), "divides by 0"),
            (.init(code: 0x94, constant: 0), "divides by 0"), (.init(code: 0x64, constant: 32), "shifts 32 bits by 32"),
            (.init(code: 0x74, constant: 99), "shifts"), (.init(code: 0x02, constant: 16), "scratch slot 16"),
            (.init(code: 0x05, constant: 1), "behind the end"),
            (.init(code: 0x15, jumpTrue: 1, constant: 0), "behind the end"),
            (.init(code: 0x15, jumpFalse: 255, constant: 0), "behind the end"),
        ])
    func refusesMalformed(_ instruction: ClassicInstruction, _ what: String) {
        #expect {
            try program(instruction)
        } throws: {
            if case .malformed(let text) = $0 as? FilterError { text.contains(what) } else { false }
        }
    }

    @Test("Every path ends in a return")
    func demandsAReturn() {
        #expect(throws: FilterError.malformed("it is empty")) { try ClassicProgram([]) }
        #expect(throws: FilterError.malformed("it does not end in a return")) {
            try ClassicProgram([Self.accept, ClassicInstruction(code: 0x00, constant: 1)])
        }
    }

    @Test("Scratch memory that was not written is 0")
    func followsScratch() throws {
        _ = try program(ClassicInstruction(code: 0x60, constant: 5))
    }

    @Test(
        "What a tap cannot answer is said in words",
        arguments: [(UInt32(4), "direction"), (0, "not in the frame"), (8, "no metadata but the VLAN tag"), (64, "VLAN tag")])
    func refusesAncillaryLoads(_ number: UInt32, _ what: String) {
        #expect {
            try program(ClassicInstruction(code: 0x28, constant: 0xFFFF_F000 + number))
        } throws: {
            if case .unsupported(let text) = $0 as? FilterError { text.contains(what) } else { false }
        }
    }

    @Test("The VLAN tag in skb metadata can be asked for", arguments: [UInt32(44), 48, 60], [UInt16(0x20), 0x28, 0x30])
    func acceptsTags(_ number: UInt32, _ code: UInt16) throws {
        _ = try program(ClassicInstruction(code: code, constant: 0xFFFF_F000 + number))
    }

    @Test(
        "Expressions that no filter in the kernel can be",
        arguments: [
            ("inbound", "direction"), ("outbound", "direction"), ("ip protochain 6", "loop"), ("ip6 protochain 6", "loop"),
            ("protochain \\tcp", "loop"),
            ("ether[0 - 1] = 0", "not in the frame"),
        ])
    func refusesExpressions(_ expression: String, _ what: String) throws {
        let filter = try PcapFilter(expression, .offline())
        #expect {
            try ClassicProgram(filter.instructions)
        } throws: {
            if case .unsupported(let text) = $0 as? FilterError { text.contains(what) } else { false }
        }
    }

    @Test("As long as a jump can reach, and no longer")
    func limits() throws {
        let longest = Array(repeating: ClassicInstruction(code: 0x87, constant: 0), count: ClassicProgram.maximumCount - 1) + [Self.accept]
        _ = try ClassicProgram(longest)
        #expect(throws: FilterError.tooLarge(instructions: longest.count + 1)) { try ClassicProgram([longest[0]] + longest) }
    }
}
