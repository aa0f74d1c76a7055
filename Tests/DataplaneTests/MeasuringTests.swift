// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import TapModel
import Testing

extension KernelSuite {
    @Suite("Frames are counted as a wire would have carried them")
    struct MeasuringTests {
        @Test("VLAN tags are kept in the copy and counted, in both directions", arguments: Mechanism.here)
        func keepsTags(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach()
            for tags: [UInt16] in [[7], [7, 8], [0x6007]] {
                let outbound = FrameBuilder.udp(1, tags: tags)
                try tapped.bench.guest.write(outbound)
                #expect(tapped.bench.peer.receive(1) == [outbound])
                let inbound = FrameBuilder.udp(2, toGuest: true, tags: tags)
                try tapped.bench.peer.send(inbound)
                #expect(tapped.bench.guest.read() == inbound)
                #expect(tapped.bench.sensor.receive(2) == [outbound, inbound])
            }
            let length = UInt64(FrameBuilder.udp(1).count)
            let expected = Counter(packets: 3, bytes: 3 * length + 16)
            #expect(try tapped.counters(desired).mapValues(\.copied) == [.inbound: expected, .outbound: expected])
        }

        struct GuestGSOPacket: Sendable {
            var what: String
            var frame: [UInt8]
            /// Up to the end of the transport header.
            var header: Int
            var transport: Int
            var segment: UInt16
            var type: UInt8

            var offload: TapDevice.Offload {
                TapDevice.Offload(
                    type: type, segmentSize: segment, headerLength: UInt16(header), checksumStart: UInt16(header - transport),
                    checksumOffset: transport == 8 ? 6 : 16)
            }
        }

        static let gsoPackets: [GuestGSOPacket] = [
            GuestGSOPacket(what: "TCP", frame: FrameBuilder.tcp(payload: 20_000), header: 66, transport: 32, segment: 1_448, type: 1),
            GuestGSOPacket(
                what: "an exact number of segments", frame: FrameBuilder.tcp(payload: 14_480), header: 66, transport: 32, segment: 1_448,
                type: 1),
            GuestGSOPacket(
                what: "one segment", frame: FrameBuilder.tcp(payload: 1_000), header: 66, transport: 32, segment: 1_448, type: 1),
            GuestGSOPacket(
                what: "small segments", frame: FrameBuilder.tcp(payload: 60_000), header: 66, transport: 32, segment: 500, type: 1),
            GuestGSOPacket(
                what: "IP options", frame: FrameBuilder.tcp(payload: 20_000, ipOptions: 8), header: 74, transport: 32, segment: 1_440,
                type: 1),
            GuestGSOPacket(
                what: "a tag", frame: FrameBuilder.tcp(payload: 20_000, tags: [7]), header: 70, transport: 32, segment: 1_448, type: 1),
            GuestGSOPacket(
                what: "two tags", frame: FrameBuilder.tcp(payload: 20_000, tags: [7, 8]), header: 74, transport: 32, segment: 1_448, type: 1
            ),
            GuestGSOPacket(what: "IPv6", frame: FrameBuilder.tcp6(payload: 20_000), header: 74, transport: 20, segment: 1_440, type: 4),
            GuestGSOPacket(
                what: "IPv6 extension headers", frame: FrameBuilder.tcp6(payload: 20_000, extensions: 2), header: 90, transport: 20,
                segment: 1_400, type: 4),
            GuestGSOPacket(what: "UDP", frame: FrameBuilder.udp(1, payload: 20_000), header: 42, transport: 8, segment: 1_400, type: 5),
        ].filter { $0.type != 5 || Mechanism.here.contains(.tcx) }  // Tap devices take UDP GSO packets since Linux 6.2.

        /// The kernel itself is the judge: the destination cannot take GSO packets, so it cuts the copy up.
        @Test("A guest's GSO packet counts as its segments", arguments: Mechanism.here, gsoPackets)
        func countsSegments(_ mechanism: Mechanism, _ packet: GuestGSOPacket) throws {
            let tapped = try TappedBench(mechanism, withHeader: true)
            let bench = tapped.bench
            try ip("link set \(bench.destination) gso_max_size 1400\n")
            let desired = try tapped.attach()
            try bench.guest.write(packet.frame, packet.offload)
            #expect(bench.peer.receive(1) == [packet.frame], "the original stays whole")
            let segments = bench.sensor.receive((packet.frame.count - packet.header + Int(packet.segment) - 1) / Int(packet.segment))
            #expect(segments.allSatisfy { $0.count <= packet.header + Int(packet.segment) })
            #expect(try tapped.counters(desired)[.outbound]?.copied == Counter(segments))
            #expect(try tapped.dataplane.destinations().first?.sent == Counter(segments))
        }

        @Test("A GSO packet on its way to a guest counts as its segments too", arguments: Mechanism.here)
        func countsInboundSegments(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let bench = tapped.bench
            let other = try TapDevice("other\(bench.number)", withHeader: true)
            try ip("link set \(other.name) master \(bench.bridge) up\nlink set \(bench.destination) gso_max_size 1400\n")
            let desired = try tapped.attach(.inbound)
            let packet = Self.gsoPackets[0]
            try other.write(packet.frame, packet.offload)
            let segments = bench.sensor.receive(14)
            #expect(segments.count == 14)
            #expect(try tapped.counters(desired)[.inbound]?.copied == Counter(segments))
            for _ in segments { #expect(bench.guest.read() != nil) }
        }

        @Test("A destination that takes GSO packets gets them whole and byte-exact", arguments: Mechanism.here)
        func copiesSuperPacketsWhole(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism, withHeader: true)
            try tapped.attach()
            let packet = Self.gsoPackets[0]
            try tapped.bench.guest.write(packet.frame, packet.offload)
            #expect(tapped.bench.sensor.receive(1) == [packet.frame])
        }

        @Test("Frames of every odd shape are copied: no IP, shortest, largest", arguments: Mechanism.here)
        func copiesOddFrames(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach(.outbound)
            let frames: [[UInt8]] = [
                FrameBuilder.peer + FrameBuilder.guest + [0x08, 0x06] + [UInt8](repeating: 1, count: 28),
                FrameBuilder.peer + FrameBuilder.guest + [0x88, 0xB5],
                [UInt8](repeating: 0xFF, count: 6) + FrameBuilder.guest + [0x88, 0xB5, 1],
                FrameBuilder.udp(3, payload: 1_472),
            ]
            for frame in frames { try tapped.bench.guest.write(frame) }
            #expect(tapped.bench.sensor.receive(4) == frames)
            #expect(tapped.bench.peer.receive(4) == frames)
            #expect(try tapped.counters(desired)[.outbound]?.copied == Counter(frames))
        }
    }
}

extension KernelSuite.MeasuringTests.GuestGSOPacket: CustomTestStringConvertible {
    var testDescription: String { what }
}
