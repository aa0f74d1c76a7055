// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import TapModel
import Testing

extension MatrixSuite {
    /// Each kind of tunnel to Linux's own device for it, which the machine that runs `make test` need not have.
    ///
    /// All of one IP version share a bench: here a program is loaded in a quarter of a second.
    @Suite("Copies for another machine, received by Linux's own devices")
    struct TunnelReceiverTests {
        private static let cases = Mechanism.here.flatMap { mechanism in [false, true].map { (mechanism, $0) } }

        private func attach(_ tapped: TappedBench, _ kind: ReceiverKind) throws -> DesiredAttachment {
            var desired = try tapped.desired(to: "\(kind)")
            desired.destinationKind = kind.kind.destinationKind
            try tapped.dataplane.attach(desired, at: TappedBench.now)
            return desired
        }

        /// Asks who has 10.0.0.2.
        private static let arp: [UInt8] =
            [UInt8](repeating: 0xFF, count: 6) + FrameBuilder.guest + [0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1] + FrameBuilder.guest
            + [10, 0, 0, 1] + [UInt8](repeating: 0, count: 6) + [10, 0, 0, 2]

        @Test("They hand out each frame as it was, tags and segments included, and nothing else", arguments: cases)
        func arrives(_ mechanism: Mechanism, _ isIPv6: Bool) throws {
            let tapped = try TappedBench(mechanism, withHeader: true)
            let receiver = try TunnelReceiver(tapped.bench, isIPv6: isIPv6)
            defer { receiver.remove() }
            for kind in ReceiverKind.all(isIPv6: isIPv6) { try expectWhole(kind, tapped, receiver) }
        }

        private func expectWhole(_ kind: ReceiverKind, _ tapped: TappedBench, _ receiver: TunnelReceiver) throws {
            let seen = try receiver.add("rx", kind)
            let route = try receiver.route(kind)
            try tapped.dataplane.setDestination("\(kind)", route)
            let desired = try attach(tapped, kind)
            let room = Int(try #require(route.tunnel).room)
            let (sent, areWhole) = try tapped.exchange(5)
            #expect(areWhole)
            #expect(seen.receive(10) == sent, "\(kind)")

            var frames = [Self.arp]
            for tags: [UInt16] in [[], [10], [10, 20]] {
                // An odd length, the largest that fits, and one byte more, which leaves in fragments.
                for length in [301, room, room + 1] {
                    frames.append(FrameBuilder.udp(length, payload: length - 42 - 4 * tags.count, tags: tags))
                }
            }
            for frame in frames { try tapped.bench.guest.write(frame) }
            #expect(tapped.bench.peer.receive(frames.count) == frames)
            #expect(seen.receive(frames.count) == frames, "\(kind)")
            // What the guest has sent, and what has left for the receiver, in fragments or not.
            var outbound = 5 + frames.count
            var packets = 10 + frames.count
            var fragmented = 3

            for packet in [
                GSOPacket(payload: 4_001), GSOPacket(payload: 4_001, tags: [10]), GSOPacket(payload: 4_001, tags: [10, 20]),
                GSOPacket(payload: 4_001, isIPv6: true),
            ] {
                try tapped.bench.guest.write(packet.frame, packet.offload)
                #expect(tapped.bench.peer.receive(1) == [packet.frame])
                // Behind two tags the kernel lets nobody make segments smaller: they leave in fragments.
                let segments = packet.segments(of: packet.tags == 2 ? 1_448 : min(1_448, room - packet.end))
                #expect(seen.receive(segments.count) == segments, "\(kind), \(packet.tags) tags")
                fragmented += segments.count { $0.count > room }
                // As on the guest's own wire.
                outbound += 3
                packets += segments.count
            }
            // Of more segments than may be: fewer of them, and counted as they were to be.
            var joined = 0
            for packet in [
                GSOPacket(payload: 30_000, segmentSize: 100), GSOPacket(payload: 30_000, tags: [10], segmentSize: 100),
                GSOPacket(payload: 30_000, isIPv6: true, segmentSize: 100),
            ] {
                try tapped.bench.guest.write(packet.frame, packet.offload)
                #expect(tapped.bench.peer.receive(1) == [packet.frame])
                let segments = packet.segments(of: packet.joinedSize)
                #expect(seen.receive(segments.count) == segments, "\(kind), \(packet.tags) tags")
                outbound += 300
                packets += 300
                joined += 300 - segments.count
            }
            // One whose checksum is left to the device.
            var partial = GSOPacket(payload: 500)
            partial.offload.type = 0
            try tapped.bench.guest.write(partial.frame, partial.offload)
            #expect(tapped.bench.peer.receive(1).count == 1)
            #expect(seen.receive(1) == partial.segments(of: 500), "\(kind)")
            outbound += 1
            packets += 1

            let counters = try tapped.counters(desired)
            #expect(counters.values.allSatisfy { $0.seen == $0.copied })
            #expect(counters[.outbound]?.copied.packets == UInt64(outbound) && counters[.inbound]?.copied.packets == 5, "\(kind)")
            let record = try #require(try tapped.dataplane.destinations().first { $0.label == "\(kind)" })
            #expect(record.sent.packets == UInt64(packets) && record.errors.packets == 0, "\(kind)")
            #expect(record.fragmented.packets == UInt64(fragmented), "\(kind)")
            let received = try receiver.received("rx")
            #expect(received.packets == packets - joined && received.errors == 0, "\(kind) \(received)")
            if kind.hasKey { try expectToldApart(kind, tapped, receiver, outbound: seen) }
            try tapped.dataplane.detach(desired.key.id)
            try receiver.remove("rx")
        }

        /// ERSPAN's copies are numbered, and Linux's device takes none whose number it has passed: RFC 2890, 2.2. After a reboot of the
        /// host, or a purge, they are numbered anew.
        @Test("An ERSPAN device goes on when the sender has begun again", arguments: Mechanism.here)
        func goesOn(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let receiver = try TunnelReceiver(tapped.bench, isIPv6: false)
            defer { receiver.remove() }
            let kind = ReceiverKind(kind: .erspan, version: 1, isIPv6: false)
            let seen = try receiver.add("rx", kind)
            // The first time it ends among the numbers that lead receivers round, later behind them.
            for count in [5, 110, 110, 5] {
                try tapped.dataplane.setDestination("\(kind)", receiver.route(kind))
                _ = try attach(tapped, kind)
                let (sent, areWhole) = try tapped.exchange(count)
                #expect(areWhole)
                // It may take until the next stride.
                #expect(seen.receive(2 * count).suffix(5) == sent.suffix(5), "\(count)")
                _ = try tapped.dataplane.purge()
            }
        }

        /// With a number for each direction, each has a device of its own.
        private func expectToldApart(
            _ kind: ReceiverKind, _ tapped: TappedBench, _ receiver: TunnelReceiver, outbound: PacketSocket
        ) throws {
            let inbound = try receiver.add("rx2", kind, ReceiverKind.inboundIdentifier)
            try tapped.dataplane.setDestination("\(kind)", receiver.route(kind, isSplit: true))
            let (sent, areWhole) = try tapped.exchange(5)
            #expect(areWhole)
            #expect(outbound.receive(5) == Array(sent.prefix(5)), "\(kind)")
            #expect(inbound.receive(5) == Array(sent.suffix(5)), "\(kind)")
            try receiver.remove("rx2")
        }
    }
}
