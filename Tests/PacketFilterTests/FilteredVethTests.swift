// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Glibc
import PacketFilter
import PacketFilterTestSupport
import TestSupport
import Testing

extension KernelFilterSuite {
    /// Where `pcap_offline_filter` cannot help: VLAN tags in skb metadata, frames that are scattered over pages, GSO packets.
    @Suite("On real devices, against the kernel's socket filter")
    struct FilteredVethTests {
        @Test("Every expression answers as a socket filter on the same device")
        func expressions() throws {
            let wire = try FilteredVeth()
            let handle = try PcapHandle.live()
            let tagged = SampleFrames.tagged
            var refused: [String] = []
            for (number, expression) in Expressions.all.enumerated() where number % KernelFilterSuite.stride == 0 {
                let program = try PcapFilter(expression, handle).instructions
                do {
                    try wire.attach(program)
                } catch let failure as CallFailure where failure.number == EINVAL {
                    refused.append(expression)
                    continue
                }
                var mutator = FrameMutator(seed: UInt64(number), program: program)
                var taggedMutator = FrameMutator(seed: UInt64(number), frames: tagged)
                var wrong: [String] = []
                for turn in 0..<24 {
                    let frame = turn < 8 ? mutator.next() : turn < 16 ? taggedMutator.next() : tagged[(number * 8 + turn) % tagged.count]
                    for manner in [FilteredVeth.Manner.linear, .scattered] {
                        if let difference = try wire.difference(frame, manner) { wrong.append("\(difference): \(frame)") }
                    }
                }
                for (frame, transport) in SampleFrames.superPackets {
                    if let difference = try wire.difference(frame, .superPacket(transport: transport)) { wrong.append(difference) }
                }
                if !wrong.isEmpty { Issue.record("\(expression): \(wrong.count) wrong, \(wrong[0])") }

            }
            // It reads scratch memory that it has not written.
            if KernelFilterSuite.stride == 1 { #expect(refused == ["vlan and pppoes"]) }
            let seen = wire.seen
            // All kinds were there.
            #expect(seen.tagged > seen.frames / 4 && seen.scattered > seen.frames / 4, "\(seen)")
            #expect(seen.superPackets > seen.frames / 40 && seen.matches > seen.frames / 40, "\(seen)")
        }

        @Test("Every kind of frame, for what is asked of them most")
        func allFrames() throws {
            let wire = try FilteredVeth()
            let handle = try PcapHandle.live()
            let expressions = [
                "vlan", "vlan 5", "vlan and vlan 7 and ip", "tcp port 80", "vlan and tcp port 80", "ip6 and udp port 53", "host 192.0.2.1",
                "vlan 5 and host 192.0.2.1", "ip or (vlan and ip)", "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420",
                "vlan and tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420", "len > 100", "ether[len - 1] = 0", "geneve 7 and tcp port 80",
            ]
            for expression in expressions {
                try wire.attach(PcapFilter(expression, handle).instructions)
                for frame in SampleFrames.all {
                    for manner in [FilteredVeth.Manner.linear, .scattered] {
                        if let difference = try wire.difference(frame, manner) {
                            Issue.record("\(expression): \(difference): \(frame)")
                        }
                    }
                }
            }
            #expect(wire.seen.matches > 500, "\(wire.seen)")
        }

        @Test("Random programs answer as a socket filter")
        func randomPrograms() throws {
            let wire = try FilteredVeth()
            var random = SeededGenerator(seed: 9)
            for _ in 0..<(300 / KernelFilterSuite.stride) {
                let program = RandomProgram.make(&random, tags: true)
                try wire.attach(program)
                var mutator = FrameMutator(seed: random.next(), program: program)
                for turn in 0..<30 {
                    let frame = mutator.next()
                    if let difference = try wire.difference(frame, turn & 1 == 0 ? .linear : .scattered) {
                        Issue.record("\(difference): \(frame), \(program.map(\.word))")
                        break
                    }
                }
            }
        }
    }
}
