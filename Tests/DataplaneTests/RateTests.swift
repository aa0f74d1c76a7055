// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import Glibc
import TapModel
import Testing

extension KernelSuite {
    @Suite("Rates")
    struct RateTests {
        private func limit(_ perSecond: UInt64, _ unit: RateLimit.Unit, burst: UInt64?) -> RateLimit {
            RateLimit(perSecond: perSecond, unit: unit, burst: burst, text: "", burstText: nil)
        }

        private func now() -> Double {
            var time = timespec()
            clock_gettime(CLOCK_MONOTONIC, &time)
            return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
        }

        /// How long frames were written, and how many of them a rate lets pass that is reckoned from when each was: a sender that is kept
        /// waiting on a busy machine uses less of it.
        private struct Flood {
            var elapsed = 0.0
            var paid = 0.0
        }

        /// Bursts of all tests here, in seconds of their rates.
        private static let burst = 0.5

        /// Writes frames as fast as may be for so many seconds.
        /// - Parameters:
        ///   - rate: in such frames a second.
        ///   - credit: of what the rate has saved before, in seconds.
        private func flood(
            _ devices: [TapDevice], seconds: Double, payload: Int = 100, rate: Double, credit: Double = Self.burst
        ) throws -> Flood {
            let frame = FrameBuilder.udp(1, payload: payload)
            let start = now()
            var (last, credit, flooded) = (start, credit, Flood())
            while last < start + seconds {
                for device in devices {
                    for _ in 0..<16 {
                        try device.write(frame)
                        let next = now()
                        credit = min(Self.burst, credit + next - last)
                        last = next
                        guard credit * rate >= 1 else { continue }
                        credit -= 1 / rate
                        flooded.paid += 1
                    }
                }
            }
            flooded.elapsed = last - start
            return flooded
        }

        struct Case: Sendable {
            var perSecond: UInt64
            var unit: RateLimit.Unit
            var burst: UInt64
            var snaplen: Snaplen?
            /// What one frame of 1,042 bytes takes of it.
            var cost: Double
        }

        static let cases = [
            Case(perSecond: 2_000, unit: .packetsPerSecond, burst: 1_000, snaplen: nil, cost: 1),
            Case(perSecond: 8_000_000, unit: .bitsPerSecond, burst: 500_000, snaplen: nil, cost: 1_042),
            // What is left after the cut counts.
            Case(perSecond: 800_000, unit: .bitsPerSecond, burst: 50_000, snaplen: .bytes(100), cost: 100),
        ]

        @Test("Exact over seconds, the burst on top, and the rest counted", arguments: Mechanism.here, cases)
        func limits(_ mechanism: Mechanism, _ one: Case) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach(.outbound) {
                $0.rate = limit(one.perSecond, one.unit, burst: one.burst)
                $0.snaplen = one.snaplen
            }
            let perSecond = Double(one.perSecond) / (one.unit == .bitsPerSecond ? 8 : 1)
            let flooded = try flood([tapped.bench.guest], seconds: 2, payload: 1_000, rate: perSecond / one.cost)
            let counters = try #require(try tapped.counters(desired)[.outbound])
            #expect(counters.seen == counters.copied + counters.rateLimited)
            #expect(Double(counters.copied.packets) <= (perSecond * flooded.elapsed + Double(one.burst)) / one.cost + 1)
            #expect(Double(counters.copied.packets) >= flooded.paid * 0.98 - 2)
            #expect(tapped.bench.sensor.receive(1).count == Int(counters.copied.packets))
        }

        @Test("One rate for all interfaces and directions of a tap, and a changed one at once", arguments: Mechanism.here)
        func isShared(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let second = try TapDevice("extra\(tapped.bench.number)")
            try ip("link set \(second.name) master \(tapped.bench.bridge) up\n")
            func attach(_ rate: RateLimit?, replacing: Bool) throws -> [DesiredAttachment] {
                try [nil, second].map { device in
                    let desired = try tapped.desired(.outbound, on: device) { $0.rate = rate }
                    if replacing {
                        try tapped.dataplane.replace(desired, at: TappedBench.now)
                    } else {
                        try tapped.dataplane.attach(desired, at: TappedBench.now)
                    }
                    return desired
                }
            }
            func copied(_ taps: [DesiredAttachment]) throws -> Double {
                try taps.reduce(0) { $0 + Double(try tapped.counters($1)[.outbound]?.copied.packets ?? 0) }
            }
            let taps = try attach(limit(1_000, .packetsPerSecond, burst: 500), replacing: false)
            var flooded = try flood([tapped.bench.guest, second], seconds: 1, rate: 1_000)
            let first = try copied(taps)
            #expect(first <= 1_000 * flooded.elapsed + 501 && first >= flooded.paid * 0.98)
            // Faster from the moment on that it is asked for, and what was counted goes on.
            _ = try attach(limit(5_000, .packetsPerSecond, burst: 2_500), replacing: true)
            flooded = try flood([tapped.bench.guest, second], seconds: 1, rate: 5_000, credit: 0)
            let more = try copied(taps) - first
            #expect(more <= 5_000 * flooded.elapsed + 2_501 && more >= flooded.paid * 0.98)
            let all = try taps.map { try #require(try tapped.counters($0)[.outbound]) }
            #expect(all.allSatisfy { $0.seen == $0.copied + $0.rateLimited })
        }

        @Test("Of a destination: all taps that feed it together", arguments: Mechanism.here)
        func limitsDestination(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let rate = limit(1_000, .packetsPerSecond, burst: 500)
            try tapped.dataplane.setDestination(
                "ids", kind: .interface, ifindex: tapped.bench.destinationIndex, rate: rate)
            let taps = [try tapped.attach(.outbound), try tapped.attach(.outbound, tap: "other")]
            let flooded = try flood([tapped.bench.guest], seconds: 1, rate: 1_000)
            let counters = try taps.map { try #require(try tapped.counters($0)[.outbound]) }
            let copied = Double(counters.reduce(0) { $0 + $1.copied.packets })
            #expect(copied <= 1_000 * flooded.elapsed + 501 && copied >= flooded.paid * 0.98)
            let record = try #require(try tapped.dataplane.destinations().first)
            #expect(record.rateLimited == counters[0].rateLimited + counters[1].rateLimited)
            #expect(Double(record.sent.packets) == copied)
            // Without a rate all is copied again.
            try tapped.dataplane.setDestination("ids", kind: .interface, ifindex: tapped.bench.destinationIndex)
            for _ in 0..<100 { try tapped.bench.guest.write(FrameBuilder.udp(1)) }
            #expect(try tapped.counters(taps[0])[.outbound]?.copied.packets == counters[0].copied.packets + 100)
        }

        @Test("A frame larger than the burst passes once all is paid for; a GSO packet is paid for whole", arguments: Mechanism.here)
        func passesLargeFrames(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism, withHeader: true)
            let desired = try tapped.attach(.outbound) { $0.rate = limit(8_000, .bitsPerSecond, burst: 100) }
            let offload = TapDevice.Offload(type: 1, segmentSize: 1_448, headerLength: 66, checksumStart: 34, checksumOffset: 16)
            for _ in 0..<3 { try tapped.bench.guest.write(FrameBuilder.tcp(payload: 14_480), offload) }
            let counters = try #require(try tapped.counters(desired)[.outbound])
            #expect(counters.copied.packets == 10 && counters.rateLimited.packets == 20)
        }

        @Test("What another rate would still have to pay for does not count", arguments: Mechanism.here)
        func forgetsDebts(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let slow = try tapped.attach(.outbound) { $0.rate = limit(8_000, .bitsPerSecond, burst: 100_000) }
            for number in 0..<200 { try tapped.bench.guest.write(FrameBuilder.udp(number, payload: 1_000)) }
            let before = try #require(try tapped.counters(slow)[.outbound])
            #expect(before.rateLimited.packets > 50)
            let fast = try tapped.desired(.outbound) { $0.rate = limit(1_000_000_000, .bitsPerSecond, burst: nil) }
            try tapped.dataplane.replace(fast, at: TappedBench.now)
            for number in 0..<20 { try tapped.bench.guest.write(FrameBuilder.udp(number, payload: 1_000)) }
            #expect(try tapped.counters(fast)[.outbound]?.copied.packets == before.copied.packets + 20)
        }

        @Test("Segments of one byte neither pass a rate nor use it up for long", arguments: Mechanism.here)
        func isNotFooled(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism, withHeader: true)
            let desired = try tapped.attach(.outbound) { $0.rate = limit(1_000_000, .bitsPerSecond, burst: 20_000) }
            let offload = TapDevice.Offload(type: 1, segmentSize: 1, headerLength: 66, checksumStart: 34, checksumOffset: 16)
            let start = now()
            for _ in 0..<200 { try tapped.bench.guest.write(FrameBuilder.tcp(payload: 39_046), offload) }
            let elapsed = now() - start
            let counters = try #require(try tapped.counters(desired)[.outbound])
            let frames = Double(counters.copied.packets) / 39_046
            #expect(frames <= (125_000 * elapsed + 20_000) / 39_112 + 1 && frames >= 1)
        }
    }
}
