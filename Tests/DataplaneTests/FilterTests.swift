// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import DataplaneTestSupport
import TapModel
import Testing

@testable import Dataplane

extension KernelSuite {
    @Suite("A filter in the copying program")
    struct FilterTests {
        @Test("With everything else that a tap can ask for", arguments: Mechanism.here, [Snaplen.headers, .bytes(64)])
        func goesWithAll(_ mechanism: Mechanism, _ snaplen: Snaplen) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach {
                $0.filter = "udp port 5000 and (host 10.0.0.1 or ip6) and len < 1000 and udp[11] & 3 != 0"
                $0.snaplen = snaplen
                $0.sampling = .flows(oneIn: 1)
                $0.rate = RateLimit(perSecond: 1_000_000, unit: .packetsPerSecond, burst: 1_000, text: "", burstText: nil)
                $0.once = true
            }
            let (sent, areWhole) = try tapped.exchange(40)
            #expect(areWhole)
            let length = snaplen == .headers ? 42 : 64
            let chosen = sent.filter { $0[45] & 3 != 0 }
            #expect(chosen.count == 60)
            #expect(tapped.bench.sensor.receive(60) == chosen.map { Array($0.prefix(length)) })
            for counters in try tapped.counters(desired).values {
                #expect(counters.copied.packets == 30 && counters.filtered.packets == 10 && counters.seen.packets == 40)
            }
            let program = try #require(try tapped.dataplane.openProgram(desired.key.id, .outbound))
            var information = bpf_prog_info()
            #expect(clibbpf_program_info(program.descriptor, &information) == 0)
            #expect((1..<30_000).contains(information.verified_insns), "\(information.verified_insns) instructions")
        }

        @Test("What is too large for the verifier is said so, and what was attached goes on", arguments: Mechanism.here)
        func isTooLarge(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let small = try tapped.attach { $0.filter = "udp" }
            var large = try tapped.desired()
            large.options.filter = "large"
            // ld [26]; jeq #n, 0, 1; ret #1 …; ret #0
            let load: UInt64 = 0x20 | 26 << 32
            let chain = (0..<10_000).flatMap { [0x15 | 1 << 24 | UInt64($0) << 32, 0x6 | 1 << 32] as [UInt64] }
            large.filter = CompiledFilter(expression: "large", instructions: [load] + chain + [0x6])
            let failure = #expect(throws: Failure.self) { try tapped.dataplane.replace(large, at: TappedBench.now) }
            #expect(failure?.reason == .filterTooLarge)
            #expect(failure?.message.contains("20002") == true, "\(failure?.message ?? "")")
            #expect(try tapped.dataplane.attachment(small.key.id)?.satisfies(small) == true)
            let (sent, _) = try tapped.exchange(3)
            #expect(tapped.bench.sensor.receive(6) == sent)
        }

        @Test("A filter that has not been compiled is not left out")
        func isNotLeftOut() throws {
            let tapped = try TappedBench(.clsact)
            var desired = try tapped.desired()
            desired.options.filter = "udp"
            #expect(#expect(throws: Failure.self) { try tapped.dataplane.attach(desired, at: TappedBench.now) }?.reason == .filterPending)
            #expect(try tapped.dataplane.attachments() == [])
        }
    }
}
