// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import PacketFilter
import PacketFilterTestSupport
import TestSupport
import Testing

extension KernelFilterSuite {
    /// A bounded share of what `make fuzz` does.
    @Suite("Against libpcap's interpreter")
    struct DifferentialTests {
        /// Its programs and frames are the same in every run: `make fuzz` is for others.
        private static let seed: UInt64 = 20_26

        @Test("Every expression answers as pcap_offline_filter, frame by frame")
        func expressions() throws {
            try PrivateNamespaces.require()
            let handle = PcapHandle.offline()
            var matched = Set<String>()
            for (number, expression) in Expressions.all.enumerated() where number % KernelFilterSuite.stride == 0 {
                let comparison = try FilterComparison(expression, PcapFilter(expression, handle))
                var mutator = FrameMutator(seed: Self.seed &+ UInt64(number), program: comparison.instructions)
                for frame in SampleFrames.all + (0..<400).map({ _ in mutator.next() }) {
                    let answer = try comparison.answer(frame)
                    if answer.isFound { matched.insert(expression) }
                    if let difference = answer.difference {
                        Issue.record("\(difference)")
                        break
                    }
                }
            }
            // Expressions that find nothing show little.
            let silent = Set(Expressions.all).subtracting(matched)
            if KernelFilterSuite.stride == 1 { #expect(silent.count < 100, "\(silent)") }
        }

        @Test("Random programs answer as bpf_filter, and as the kernel where that differs")
        func randomPrograms() throws {
            try PrivateNamespaces.require()
            var random = SeededGenerator(seed: Self.seed)
            for number in 0..<(500 / KernelFilterSuite.stride) {
                let comparison = try FilterComparison("random program \(number)", PcapFilter(RandomProgram.make(&random)))
                var mutator = FrameMutator(seed: Self.seed &+ UInt64(number), program: comparison.instructions)
                for _ in 0..<100 {
                    if let difference = try comparison.answer(mutator.next()).difference {
                        Issue.record("\(difference)")
                        break
                    }
                }
            }
        }

        @Test(
            "What does not fit into what was loaded is not dropped", arguments: [UInt16(0x44), 0xA4, 0x54, 0x84],
            [UInt32(0x1_0000), 0x1_0800, 0x800, 0x8, 0])
        func bytesBeyondTheWidth(_ operation: UInt16, _ constant: UInt32) throws {
            try PrivateNamespaces.require()
            for comparison: UInt16 in [0x15, 0x25, 0x35, 0x45] {
                for against: UInt32 in [0x800, 0x1_0800, 0, 0x8, 0x1_0000, 0xFFFF_FFFF] {
                    let program: [ClassicInstruction] = [
                        .init(code: 0x28, constant: 12), .init(code: operation, constant: constant),
                        .init(code: comparison, jumpFalse: 1, constant: against), .init(code: 0x06, constant: 1),
                        .init(code: 0x06, constant: 0),
                    ]
                    let filter = try FilterComparison(
                        "0x\(String(operation, radix: 16)) 0x\(String(constant, radix: 16))", PcapFilter(program))
                    for frame in SampleFrames.all[..<40] + [SampleFrames.all.last!] {
                        if let difference = try filter.answer(frame).difference { Issue.record("\(difference)") }
                    }
                }
            }
        }

        @Test("A filter that is translated wrongly is found")
        func findsMistakes() throws {
            try PrivateNamespaces.require()
            // As if the constant of one comparison had been missed.
            let right = try PcapFilter("tcp dst port 80", .offline())
            var wrong = right.instructions
            let place = try #require(wrong.lastIndex { $0.code == 0x15 && $0.constant == 80 })
            wrong[place].constant = 81
            let kernel = try KernelFilter(function: FilterTranslation.translate(ClassicProgram(wrong)))
            #expect(try SampleFrames.all.contains { try kernel.matches($0) != right.matches($0) })
        }
    }
}
