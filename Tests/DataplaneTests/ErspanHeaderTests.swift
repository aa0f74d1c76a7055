// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import TapModel
import Testing

@testable import Dataplane

extension KernelSuite {
    @Suite("Time and number in ERSPAN's headers")
    struct ErspanHeaderTests {
        /// Of a packet by IPv4, in 100 microseconds: behind Ethernet, IP, GRE with a sequence number, and four bytes of ERSPAN III.
        private static func stamp(_ packet: [UInt8]) -> UInt32 { packet[46..<50].reduce(0) { $0 << 8 | UInt32($1) } }

        /// Of the same packet, in the GRE header.
        private static func number(_ packet: [UInt8]) -> UInt32 { packet[38..<42].reduce(0) { $0 << 8 | UInt32($1) } }

        /// Taps the guest to a destination by ERSPAN III, which is new then.
        private func tap(_ tapped: borrowing TappedBench, to label: String) throws -> DesiredAttachment {
            var tunnel = Tunnel(kind: .erspan, remote: "10.9.0.2", identifier: 7)
            tunnel.version = 2
            let path = UnderlayPath(
                ifindex: tapped.bench.destinationIndex, device: tapped.bench.destination, source: [10, 9, 0, 1],
                sourceMAC: MACAddress("02:00:00:00:00:01")!, nextHop: [10, 9, 0, 2], nextHopMAC: MACAddress("02:00:00:00:00:02")!,
                mtu: 1_500)
            let header = try #require(TunnelHeader(tunnel, remote: path.nextHop, path: path, mtu: nil))
            try tapped.dataplane.setDestination(label, DestinationRoute(kind: .erspan, ifindex: path.ifindex, tunnel: header))
            var desired = try tapped.desired(.outbound, to: label)
            desired.destinationKind = .erspan
            try tapped.dataplane.attach(desired, at: TappedBench.now)
            return desired
        }

        @Test("Whoever has a place in the table after another begins to number his copies anew")
        func numbersAnew() throws {
            let tapped = try TappedBench(Mechanism.here[0])
            for label in ["far", "other", "far"] {
                let desired = try tap(tapped, to: label)
                for _ in 0..<5 { try tapped.bench.guest.write(FrameBuilder.udp(1)) }
                let numbers = tapped.bench.sensor.receive(5).map(Self.number)
                #expect(numbers == (0..<5).map { 1 << 30 + $0 }, "\(label)")
                try tapped.dataplane.detach(desired.key.id)
                try tapped.dataplane.forgetDestination(label)
            }
        }

        @Test("The time follows the real clock when that is set")
        func follows() throws {
            let tapped = try TappedBench(Mechanism.here[0])
            let desired = try tap(tapped, to: "far")

            func sent() throws -> UInt32 {
                try tapped.bench.guest.write(FrameBuilder.udp(1))
                return Self.stamp(try #require(tapped.bench.sensor.receive(1).first))
            }
            let before = try sent()
            let real = TunnelEntry.clockOffset()
            let hour: UInt64 = 3_600_000_000_000
            try tapped.dataplane.refreshClock(offset: real &+ hour)
            let later = try sent() &- before
            #expect((36_000_000..<36_100_000).contains(later), "\(later)")
            // And back.
            try tapped.dataplane.refreshClock()
            let now = try sent() &- before
            #expect(now < 100_000, "\(now)")
            #expect(try tapped.counters(desired)[.outbound]?.copied.packets == 3)
        }
    }
}
