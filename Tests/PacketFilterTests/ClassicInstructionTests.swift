// SPDX-License-Identifier: LGPL-2.1-or-later

import PacketFilter
import Testing

@Suite struct ClassicInstructionTests {
    @Test func aWordHoldsAllOfIt() {
        let instruction = ClassicInstruction(code: 0x15, jumpTrue: 1, jumpFalse: 2, constant: 0x8100)
        #expect(instruction.word == 0x0000_8100_0201_0015)
        #expect(ClassicInstruction(word: instruction.word) == instruction)
    }
}
