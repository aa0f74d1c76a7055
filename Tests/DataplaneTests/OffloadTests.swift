// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import TapModel
import Testing

extension KernelSuite {
    /// Copies for a device of this host whose destination says what fits (`mtu`).
    @Suite("Copies as on a wire")
    struct OffloadTests {
        private static let offload = TapDevice.Offload(
            type: 1, segmentSize: 1_448, headerLength: 66, checksumStart: 34, checksumOffset: 16)
        private static let partial = TapDevice.Offload(
            type: 0, segmentSize: 0, headerLength: 0, checksumStart: 34, checksumOffset: 16)

        private func bench(_ mechanism: Mechanism, mtu: UInt32?) throws -> (TappedBench, DesiredAttachment) {
            let tapped = try TappedBench(mechanism, withHeader: true)
            try tapped.dataplane.setDestination(
                "ids", DestinationRoute(kind: .interface, ifindex: tapped.bench.destinationIndex, mtu: mtu))
            return (tapped, try tapped.attach(.outbound) { $0.resolvesOffloads = mtu != nil })
        }

        @Test("GSO packets arrive as segments that fit, with checksums", arguments: Mechanism.here, [1_500, 1_000])
        func segments(_ mechanism: Mechanism, _ mtu: UInt32) throws {
            let (tapped, desired) = try bench(mechanism, mtu: mtu)
            let frame = FrameBuilder.tcp(payload: 20_000).withPseudoSum
            try tapped.bench.guest.write(frame, Self.offload)
            #expect(tapped.bench.peer.receive(1) == [frame], "the original is what it was")
            let most = Int(mtu) + 14 - 66
            let count = (20_000 + most - 1) / most
            let copies = tapped.bench.sensor.receive(count)
            #expect(copies.count == count && copies.allSatisfy { $0.count <= Int(mtu) + 14 && $0.hasGoodChecksum })
            #expect(copies.flatMap { $0.dropFirst(66) } == Array(frame.dropFirst(66)))
            #expect(tapped.bench.sensor.receive(within: 50) == nil)
            let counters = try #require(try tapped.counters(desired)[.outbound])
            #expect(counters.seen == counters.copied && counters.copied.packets == 14)
            let destination = try #require(try tapped.dataplane.destinations().first)
            #expect(destination.sent.packets == UInt64(count) && destination.errors == Counter())
            #expect(destination.sent.bytes == UInt64(20_000 + 66 * count))
        }

        @Test(
            "A checksum that was left to the device is filled in; other frames stay as they are", arguments: Mechanism.here)
        func fillsIn(_ mechanism: Mechanism) throws {
            let (tapped, desired) = try bench(mechanism, mtu: 1_500)
            let original = FrameBuilder.tcp(payload: 500).withPseudoSum
            for _ in 0..<50 { try tapped.bench.guest.write(original, Self.partial) }
            let copies = tapped.bench.sensor.receive(50)
            #expect(copies.count == 50 && copies.allSatisfy(\.hasGoodChecksum))
            #expect(copies.allSatisfy { $0[..<50] == original[..<50] && $0[52...] == original[52...] })
            let resolved = try #require(copies.first)
            try tapped.bench.guest.write(resolved)
            #expect(tapped.bench.sensor.receive(1) == [resolved])
            #expect(try tapped.counters(desired)[.outbound]?.copied.packets == 51)
            let destination = try #require(try tapped.dataplane.destinations().first)
            #expect(destination.sent.packets == 51 && destination.errors == Counter())
            // Cut, nothing of it can be right.
            try tapped.dataplane.replace(
                tapped.desired(.outbound) {
                    $0.resolvesOffloads = true
                    $0.snaplen = .bytes(100)
                }, at: TappedBench.now)
            try tapped.bench.guest.write(original, Self.partial)
            #expect(tapped.bench.sensor.receive(1).map(\.count) == [100])
        }

        @Test("Without it copies are as the host has them, in one piece", arguments: Mechanism.here)
        func leavesAlone(_ mechanism: Mechanism) throws {
            let (tapped, _) = try bench(mechanism, mtu: nil)
            let frame = FrameBuilder.tcp(payload: 20_000).withPseudoSum
            try tapped.bench.guest.write(frame, Self.offload)
            #expect(tapped.bench.sensor.receive(1) == [frame])
            // Said on a running tap, it holds from the next frame on, and the counters go on.
            try tapped.dataplane.setDestination(
                "ids", DestinationRoute(kind: .interface, ifindex: tapped.bench.destinationIndex, mtu: 1_500))
            let desired = try tapped.desired(.outbound) { $0.resolvesOffloads = true }
            try tapped.dataplane.replace(desired, at: TappedBench.now)
            try tapped.bench.guest.write(frame, Self.offload)
            #expect(tapped.bench.sensor.receive(14).count == 14)
            #expect(try tapped.counters(desired)[.outbound]?.copied.packets == 28)
        }
    }
}
