// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import Glibc
import TapModel
import Testing

extension KernelSuite {
    /// What a guest says of its GSO packets' segments, which the kernel takes as it is, must not use up what others need, nor keep a stream
    /// out of the copies.
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

        @Test("Where the device has segments made in front of it and nothing of ours is there, they count, and too many are not tried")
        func countAsTheyAreMade() throws {
            let tapped = try TappedBench(Mechanism.here[0], withHeader: true)
            let desired = try tapped.attach(.outbound)
            try DeviceOffloads.end(on: tapped.bench.destination)
            try tapped.dataplane.refreshOffloads()
            try tapped.bench.guest.write(Self.frame, Self.claim)
            #expect(tapped.bench.sensor.receive(within: 300) == nil)
            #expect(try tapped.counters(desired)[.outbound]?.errors.packets ?? 0 >= Self.leastSegments)
            var record = try #require(try tapped.dataplane.destinations().first)
            let lost = try #require(record.lastError)
            #expect(abs(lost.seconds - Int64(time(nil))) <= 5)
            #expect(record.given == Counter() && record.wanted == Counter(packets: 128, bytes: UInt64(Self.frame.count + 127 * 66)))
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

        /// Each program in a guest can ask for segments this small (TCP_MAXSEG), and its system makes such GSO packets.
        private static let tiny = [
            GSOPacket(payload: 60_000, segmentSize: 100), GSOPacket(payload: 60_000, tags: [10], segmentSize: 100),
            GSOPacket(payload: 60_000, isIPv6: true, segmentSize: 100),
        ]

        @Test("Too many segments become fewer, of the same stream, and count as they were", arguments: Mechanism.here, [false, true])
        func areJoined(_ mechanism: Mechanism, _ isFinished: Bool) throws {
            let tapped = try TappedBench(mechanism, withHeader: true)
            // Either is made segments of, by the relay or in front of the device.
            try tapped.dataplane.setDestination(
                "ids", DestinationRoute(kind: .interface, ifindex: tapped.bench.destinationIndex, mtu: isFinished ? 1_500 : nil))
            let desired = try tapped.attach(.outbound) { $0.resolvesOffloads = isFinished }
            if !isFinished {
                try DeviceOffloads.end(on: tapped.bench.destination)
                try tapped.dataplane.refreshOffloads()
                // Another tap has made the relay.
                try tapped.attach(.inbound, tap: "other") { $0.snaplen = .bytes(100) }
            }
            var expected = Counter()
            for packet in Self.tiny {
                try tapped.bench.guest.write(packet.frame, packet.offload)
                #expect(tapped.bench.peer.receive(1) == [packet.frame], "the original is what it was")
                let copies = packet.segments(of: packet.joinedSize)
                #expect(copies.count == 127 && tapped.bench.sensor.receive(copies.count) == copies)
                expected += Counter(packet.segments(of: 100))
            }
            let counters = try #require(try tapped.counters(desired)[.outbound])
            #expect(counters.copied == expected && counters.seen == expected)
            let record = try #require(try tapped.dataplane.destinations().first)
            #expect(record.sent == expected && record.errors == Counter())
            #expect(record.given == Counter(Self.tiny.flatMap { $0.segments(of: $0.joinedSize) }))
        }

        @Test("A small mtu keeps none out", arguments: Mechanism.here)
        func areNotRefused(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism, withHeader: true)
            try tapped.dataplane.setDestination(
                "ids", DestinationRoute(kind: .interface, ifindex: tapped.bench.destinationIndex, mtu: 576))
            let desired = try tapped.attach(.outbound) { $0.resolvesOffloads = true }
            // Of the second kind smaller ones would be too many.
            let packets = [
                GSOPacket(payload: 64_500, tcpOptions: 40, segmentSize: 100),
                GSOPacket(payload: 64_500, tcpOptions: 40, segmentSize: 520),
            ]
            for (packet, size) in zip(packets, [packets[0].joinedSize, 520]) {
                try tapped.bench.guest.write(packet.frame, packet.offload)
                #expect(tapped.bench.peer.receive(1) == [packet.frame], "the original is what it was")
                let copies = packet.segments(of: size)
                #expect(tapped.bench.sensor.receive(copies.count) == copies)
            }
            let counters = try #require(try tapped.counters(desired)[.outbound])
            let record = try #require(try tapped.dataplane.destinations().first)
            #expect(counters.copied == counters.seen && record.sent == counters.copied)
        }

        @Test(
            "No segment is longer than snaplen, however short the segments were", arguments: Mechanism.here, [Snaplen.bytes(200), .headers])
        func areCut(_ mechanism: Mechanism, _ snaplen: Snaplen) throws {
            let tapped = try TappedBench(mechanism, withHeader: true)
            let desired = try tapped.attach(.outbound) { $0.snaplen = snaplen }
            // A device that took them whole would get them whole, none being longer.
            try DeviceOffloads.end(on: tapped.bench.destination)
            try tapped.dataplane.refreshOffloads()
            for packet in Self.tiny {
                try tapped.bench.guest.write(packet.frame, packet.offload)
                #expect(tapped.bench.peer.receive(1) == [packet.frame])
                let copies = packet.segments(of: packet.joinedSize).map { Array($0.prefix(snaplen == .headers ? packet.end : 200)) }
                #expect(tapped.bench.sensor.receive(copies.count) == copies)
            }
            let counters = try #require(try tapped.counters(desired)[.outbound])
            #expect(counters.copied == counters.seen)
            let record = try #require(try tapped.dataplane.destinations().first)
            #expect(record.sent == counters.copied && record.errors == Counter())
        }

        @Test("As many as may be stay as they are, and what is no stream is not tried")
        func areLeftAlone() throws {
            let tapped = try TappedBench(Mechanism.here[0], withHeader: true)
            try tapped.dataplane.setDestination(
                "ids", DestinationRoute(kind: .interface, ifindex: tapped.bench.destinationIndex, mtu: 1_500))
            let desired = try tapped.attach(.outbound) { $0.resolvesOffloads = true }
            let most = GSOPacket(payload: 12_800, segmentSize: 100)
            try tapped.bench.guest.write(most.frame, most.offload)
            #expect(tapped.bench.peer.receive(1) == [most.frame])
            #expect(tapped.bench.sensor.receive(128) == most.segments(of: 100))
            // Of datagrams the size is not only how they travel.
            let datagrams = FrameBuilder.udp(1, payload: 60_000)
            let offload = TapDevice.Offload(type: 3, segmentSize: 104, headerLength: 42, checksumStart: 34, checksumOffset: 6)
            try tapped.bench.guest.write(datagrams, offload)
            #expect(tapped.bench.peer.receive(577).count == 577, "as fragments")
            #expect(tapped.bench.sensor.receive(within: 50) == nil)
            let counters = try #require(try tapped.counters(desired)[.outbound])
            #expect(counters.copied.packets == 128 && counters.errors.packets == 577)
        }

        /// A veth takes no GSO packets of UDP, so the kernel makes fragments in front of it, which wait where originals do.
        @Test("Copies of a guest's datagrams of many fragments cost none of the originals", arguments: Mechanism.here)
        func sparesOriginals(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism, withHeader: true)
            let desired = try tapped.attach(.outbound)
            let datagram = FrameBuilder.udp(1, payload: 60_000)
            for (size, count) in [(UInt16(104), 577), (1_480, 41)] {
                try tapped.bench.guest.write(
                    datagram, TapDevice.Offload(type: 3, segmentSize: size, headerLength: 42, checksumStart: 34, checksumOffset: 6))
                #expect(tapped.bench.peer.receive(count).count == count, "\(size)")
            }
            #expect(tapped.bench.sensor.receive(41).count == 41)
            let counters = try #require(try tapped.counters(desired)[.outbound])
            #expect(counters.errors.packets == 577 && counters.copied.packets == 41)
        }

        @Test("One frame takes of a destination's rate what 128 packets take, at most")
        func doNotUseUpARate() throws {
            let tapped = try TappedBench(Mechanism.here[0], withHeader: true)
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
