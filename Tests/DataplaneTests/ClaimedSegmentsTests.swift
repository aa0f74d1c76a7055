// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import TapModel
import Testing

extension KernelSuite {
    /// What a guest says of its super-packets' segments, which the kernel takes as it is, must not use up what others need.
    @Suite("Claimed segments")
    struct ClaimedSegmentsTests {
        /// 60 kB that are said to be 60,000 segments.
        private static let frame = FrameBuilder.tcp(payload: 60_000)
        private static let claim = TapDevice.Offload(type: 1, segmentSize: 1, headerLength: 66, checksumStart: 34, checksumOffset: 16)
        /// Linux 6.1 takes segments for 8 bytes at least.
        private static let leastSegments: UInt64 = 60_000 / 8

        @Test("They are counted as a wire would carry them, and for the host's limit as the device was given them")
        func doNotTripTheLimit() throws {
            let tapped = try TappedBench(Mechanism.here[0], withHeader: true)
            defer { _ = try? tapped.dataplane.purge() }
            _ = try tapped.attach(.outbound)
            for _ in 1...4 { try tapped.bench.guest.write(Self.frame, Self.claim) }
            #expect(tapped.bench.sensor.receive(4).map(\.count) == Array(repeating: Self.frame.count, count: 4))
            let record = try #require(try tapped.dataplane.destinations().first)
            #expect(record.sent.packets >= 4 * Self.leastSegments)
            #expect(record.given == Counter(packets: 4 * 128, bytes: UInt64(4 * Self.frame.count)))
            // What nobody only claims is the same in both.
            try tapped.bench.guest.write(FrameBuilder.udp(1))
            let after = try #require(try tapped.dataplane.destinations().first)
            #expect(after.given.bytes - record.given.bytes == UInt64(FrameBuilder.udp(1).count))
            #expect(after.given.packets - record.given.packets == 1)
        }

        @Test("Where the device has segments made in front of it, they count as they are, and too many are not tried")
        func countAsTheyAreMade() throws {
            let tapped = try TappedBench(Mechanism.here[0], withHeader: true)
            defer { _ = try? tapped.dataplane.purge() }
            let desired = try tapped.attach(.outbound)
            try DeviceOffloads.end(on: tapped.bench.destination)
            try tapped.dataplane.followOffloads()
            try tapped.bench.guest.write(Self.frame, Self.claim)
            #expect(tapped.bench.sensor.receive(1).isEmpty)
            #expect(try tapped.counters(desired)[.outbound]?.errors.packets ?? 0 >= Self.leastSegments)
            var record = try #require(try tapped.dataplane.destinations().first)
            #expect(record.given == Counter() && record.wanted == Counter(packets: 128, bytes: UInt64(Self.frame.count)))
            // Honest ones: ten segments of 100 bytes.
            let headers = 66
            let frame = FrameBuilder.tcp(payload: 1_000)
            try tapped.bench.guest.write(
                frame, TapDevice.Offload(type: 1, segmentSize: 100, headerLength: UInt16(headers), checksumStart: 34, checksumOffset: 16))
            let copies = tapped.bench.sensor.receive(10)
            record = try #require(try tapped.dataplane.destinations().first)
            #expect(copies.count == 10)
            #expect(record.given == Counter(packets: 10, bytes: UInt64(copies.map(\.count).reduce(0, +))) && record.sent == record.given)
        }

        @Test("One frame takes of a destination's rate what 128 packets take, at most")
        func doNotUseUpARate() throws {
            let tapped = try TappedBench(Mechanism.here[0], withHeader: true)
            defer { _ = try? tapped.dataplane.purge() }
            let rate = RateLimit(perSecond: 1_000, unit: .packetsPerSecond, burst: 1_000, text: "1kpps", burstText: nil)
            try tapped.dataplane.setDestination(
                "ids", DestinationRoute(kind: .interface, ifindex: tapped.bench.destinationIndex, rate: rate))
            let desired = try tapped.attach(.outbound)
            for _ in 1...2 { try tapped.bench.guest.write(Self.frame, Self.claim) }
            let others = 500
            for number in 0..<others { try tapped.bench.guest.write(FrameBuilder.udp(number)) }
            let counters = try #require(try tapped.counters(desired)[.outbound])
            #expect(counters.rateLimited == Counter())
            #expect(counters.copied.packets >= 2 * Self.leastSegments + UInt64(others))
        }
    }
}
