// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import TapModel
import Testing

@testable import Dataplane

extension KernelSuite {
    @Suite("The time in ERSPAN's headers")
    struct ErspanClockTests {
        /// Of a packet by IPv4, in 100 microseconds: behind Ethernet, IP, GRE with a sequence number, and four bytes of ERSPAN III.
        private static func stamp(_ packet: [UInt8]) -> UInt32 { packet[46..<50].reduce(0) { $0 << 8 | UInt32($1) } }

        @Test("It follows the real clock when that is set")
        func follows() throws {
            let tapped = try TappedBench(Mechanism.here[0])
            defer { _ = try? tapped.dataplane.purge() }
            var tunnel = Tunnel(kind: .erspan, remote: "10.9.0.2", identifier: 7)
            tunnel.version = 2
            let path = UnderlayPath(
                ifindex: tapped.bench.destinationIndex, device: tapped.bench.destination, source: [10, 9, 0, 1],
                sourceMAC: MACAddress("02:00:00:00:00:01")!, nextHop: [10, 9, 0, 2], nextHopMAC: MACAddress("02:00:00:00:00:02")!,
                mtu: 1_500)
            let header = try #require(TunnelHeader(tunnel, remote: path.nextHop, path: path, mtu: nil))
            try tapped.dataplane.setDestination("far", DestinationRoute(kind: .erspan, ifindex: path.ifindex, tunnel: header))
            var desired = try tapped.desired(.outbound, to: "far")
            desired.destinationKind = .erspan
            try tapped.dataplane.attach(desired, at: TappedBench.now)

            func sent() throws -> UInt32 {
                try tapped.bench.guest.write(FrameBuilder.udp(1))
                return Self.stamp(try #require(tapped.bench.sensor.receive(1).first))
            }
            let before = try sent()
            let real = TunnelEntry.clockOffset()
            let hour: UInt64 = 3_600_000_000_000
            try tapped.dataplane.followClock(offset: real &+ hour)
            let later = try sent() &- before
            #expect((36_000_000..<36_100_000).contains(later), "\(later)")
            // And back.
            try tapped.dataplane.followClock()
            let now = try sent() &- before
            #expect(now < 100_000, "\(now)")
            #expect(try tapped.counters(desired)[.outbound]?.copied.packets == 3)
        }
    }
}
