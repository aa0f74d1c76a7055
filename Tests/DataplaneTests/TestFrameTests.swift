// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibmnl
import Dataplane
import DataplaneTestSupport
import Glibc
import TapModel
import Testing

extension KernelSuite {
    /// Test frames, on the way that copies take.
    @Suite("Test frames")
    struct TestFrameTests {
        private static let token: UInt64 = 0x0123_4567_89AB_CDEF

        private func frame(_ number: UInt16) -> TestFrame { TestFrame(token: Self.token, number: number) }

        @Test("One comes to the sensor alone, and is not counted as the guest's", arguments: Mechanism.here)
        func arrives(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach()
            let watcher = try TestFrameWatcher(token: Self.token)
            for (number, direction) in Direction.allCases.enumerated() {
                let frame = frame(UInt16(number) + 300)
                #expect(try tapped.dataplane.sendTestFrame(desired, direction, frame: frame.bytes) == TestFrameOutcome(fate: .copied))
                #expect(tapped.bench.sensor.receive(1) == [frame.bytes])
                let sightings = watcher.next(within: 1_000)
                #expect(sightings.map(\.number) == [frame.number, frame.number])
                #expect(sightings.map(\.isSent) == [true, false])
                #expect(sightings.map(\.ifindex) == [tapped.bench.destinationIndex, if_nametoindex(tapped.bench.far)])
                #expect(sightings.allSatisfy { $0.outerLength == 0 && $0.length == frame.bytes.count })
            }
            #expect(tapped.bench.peer.receive(within: 50) == nil && tapped.bench.guest.read() == nil)
            #expect(try tapped.counters(desired).values.allSatisfy { $0.seen == Counter() })
            #expect(try tapped.dataplane.destinations().map(\.sent.packets) == [2])
            // Others' tests are others'.
            let other = try TestFrameWatcher(token: Self.token + 1 << 20)
            _ = try tapped.dataplane.sendTestFrame(desired, .inbound, frame: frame(1).bytes)
            #expect(other.next(within: 100).isEmpty)
        }

        @Test("It says what left a frame out, and sends it past that", arguments: Mechanism.here)
        func isLeftOut(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            func outcome(_ choose: (inout CopyOptions) -> Void) throws -> TestFrameOutcome {
                let desired = try tapped.attach(tap: "t\(Int.random(in: 0 ..< 1_000_000))", choose)
                defer { try? tapped.dataplane.detach(desired.key.id) }
                let outcome = try tapped.dataplane.sendTestFrame(desired, .outbound, frame: frame(0).bytes)
                #expect(tapped.bench.sensor.receive(1).count == (outcome.fate == .copied ? 1 : 0))
                #expect(tapped.bench.sensor.receive(within: 20) == nil, "once")
                return outcome
            }
            #expect(try outcome { $0.filter = "tcp" } == TestFrameOutcome(fate: .copied, leftOutBy: .filter))
            #expect(try outcome { $0.filter = "udp port 9" } == TestFrameOutcome(fate: .copied))
            #expect(try outcome { $0.sampling = .packets(oneIn: 2_000_000_000) } == TestFrameOutcome(fate: .copied, leftOutBy: .sample))
            #expect(
                try outcome {
                    $0.snaplen = .headers; $0.once = true
                } == TestFrameOutcome(fate: .copied))
            try tapped.dataplane.setDestination("ids", kind: .interface, ifindex: 0)
            #expect(try outcome { _ in } == TestFrameOutcome(fate: .errors))
            let slow = RateLimit(perSecond: 1, unit: .packetsPerSecond, burst: 1, text: "1pps", burstText: "1")
            try tapped.dataplane.setDestination("ids", kind: .interface, ifindex: tapped.bench.destinationIndex, rate: slow)
            #expect(try outcome { _ in } == TestFrameOutcome(fate: .copied))
            #expect(try outcome { _ in } == TestFrameOutcome(fate: .rateLimited))
            // The tap's own rate is its traffic's.
            try tapped.dataplane.setDestination("ids", kind: .interface, ifindex: tapped.bench.destinationIndex)
            #expect(try outcome { $0.rate = slow } == TestFrameOutcome(fate: .copied))
        }

        @Test("It is known within every tunnel", arguments: [false, true])
        func isSeenInTunnels(_ isIPv6: Bool) throws {
            let tapped = try TappedBench(Mechanism.here[0])
            let kinds: [(Tunnel.Kind, UInt8, UInt32?)] = [
                (.vxlan, 1, 7), (.geneve, 1, 7), (.gre, 1, nil), (.gre, 1, 7), (.erspan, 1, 7), (.erspan, 2, 7),
            ]
            let remote = isIPv6 ? "fd09::2" : "10.9.0.2"
            let bytes = try #require(IPAddress.bytes(remote))
            let path = UnderlayPath(
                ifindex: tapped.bench.destinationIndex, device: tapped.bench.destination, source: bytes,
                sourceMAC: MACAddress("02:00:00:00:00:01")!, nextHop: bytes, nextHopMAC: MACAddress("02:00:00:00:00:02")!, mtu: 1_500)
            let watcher = try TestFrameWatcher(token: Self.token)
            for (number, (kind, version, identifier)) in kinds.enumerated() {
                var tunnel = Tunnel(kind: kind, remote: remote, identifier: identifier)
                tunnel.version = version
                let header = try #require(TunnelHeader(tunnel, remote: bytes, path: path, mtu: nil))
                try tapped.dataplane.setDestination(
                    "far", DestinationRoute(kind: kind.destinationKind, ifindex: path.ifindex, tunnel: header))
                var desired = try tapped.desired(.outbound, tap: "far", to: "far")
                desired.destinationKind = kind.destinationKind
                if number == 0 { try tapped.dataplane.attach(desired, at: TappedBench.now) }
                let frame = frame(UInt16(number))
                #expect(try tapped.dataplane.sendTestFrame(desired, .outbound, frame: frame.bytes) == TestFrameOutcome(fate: .copied))
                _ = tapped.bench.sensor.receive(1)
                let sent = watcher.next(within: 1_000).filter { $0.isSent && $0.ifindex == path.ifindex }
                #expect(sent.map(\.number) == [frame.number], "\(kind)")
                #expect(sent.map(\.outerLength) == [header.bytes.count])
            }
        }
    }
}
