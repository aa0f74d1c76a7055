// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import Foundation
import Synchronization
import TapModel
import Testing

extension KernelSuite {
    @Suite("Several taps on one interface")
    struct SeveralTapsTests {
        @Test("Each chooses for itself, and its counters add up", arguments: Mechanism.here)
        func areIndependent(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let all = try tapped.attach(tap: "all")
            let none = try tapped.attach(tap: "none") { $0.filter = "tcp" }
            let odd = try tapped.attach(tap: "odd") { $0.filter = "udp[11] & 1 == 1" }
            let cut = try tapped.attach(tap: "cut") { $0.snaplen = .bytes(64) }
            let few = try tapped.attach(tap: "few") { $0.sampling = .packets(oneIn: 2) }
            let (sent, areWhole) = try tapped.exchange(100)
            #expect(areWhole)
            let counters = try [all, none, odd, cut, few].map { try tapped.counters($0) }
            for one in counters { for direction in Direction.allCases { #expect(one[direction]?.seen.packets == 100) } }
            #expect(counters[0].values.allSatisfy { $0.copied.packets == 100 })
            #expect(counters[1].values.allSatisfy { $0.filtered.packets == 100 })
            #expect(counters[2].values.allSatisfy { $0.copied.packets == 50 && $0.filtered.packets == 50 })
            #expect(counters[3].values.allSatisfy { $0.copied.packets == 100 })
            let sampled = counters[4].values.reduce(0) { $0 + $1.copied.packets }
            let copies = tapped.bench.sensor.receive(500)
            #expect(UInt64(copies.count) == 200 + 100 + 200 + sampled)
            #expect(copies.count { $0.count == 64 } == 200)
            #expect(Set(copies.filter { $0.count != 64 }) == Set(sent))
        }

        @Test("Adding, changing and removing one loses no packet of another, and none of itself", arguments: Mechanism.here)
        func changesInPlace(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let other = try tapped.attach(.outbound, tap: "other")
            // Both of what it is changed to and fro match everything that is sent.
            var desired = try tapped.attach(.outbound) { $0.filter = "udp" }
            let guest = tapped.bench.guest
            let isOver = Flag()
            let hasEnded = DispatchSemaphore(value: 0)
            // A thread of its own: with one processor Swift's pool has one thread, which is this one.
            Thread.detachNewThread {
                while !isOver.isSet { try? guest.write(FrameBuilder.udp(1)) }
                hasEnded.signal()
            }
            for round in 0..<30 {
                usleep(2_000)
                desired = try tapped.desired(.outbound) {
                    $0.filter = ["udp", "udp or tcp", "ip", "not arp"][round % 4]
                    if round % 3 == 0 {
                        $0.rate = RateLimit(perSecond: 100_000_000_000, unit: .bitsPerSecond, burst: 1 << 40, text: "", burstText: nil)
                    }
                    if round % 5 == 0 { $0.snaplen = .bytes(65_535) }
                }
                try tapped.dataplane.replace(desired, at: TappedBench.now)
                if round % 6 == 0 {
                    let third = try tapped.attach(.outbound, tap: "third")
                    try tapped.dataplane.detach(third.key.id)
                }
            }
            isOver.set()
            hasEnded.wait()
            let counters = try [desired, other].map { try #require(try tapped.counters($0)[.outbound]) }
            #expect(counters[0].copied.packets > 100)
            #expect(counters[0].seen == counters[0].copied)
            #expect(counters[1].seen == counters[1].copied)
            // Attached first, and counting ever since.
            #expect(counters[1].copied.packets >= counters[0].copied.packets)
            #expect(counters[1].copied.packets - counters[0].copied.packets < 50)
        }
    }
}

/// Tells another thread to stop.
private final class Flag: Sendable {
    private let value = Atomic<Bool>(false)

    var isSet: Bool { value.load(ordering: .relaxed) }

    func set() { value.store(true, ordering: .relaxed) }
}
