// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import TapModel
import Testing

extension KernelSuite {
    /// Copies that come back to where copies are made: each has to end, and nobody else's traffic with it.
    @Suite("Loops")
    struct LoopTests {
        /// Hosts and guests of tests by one number each.
        private static func address(_ number: UInt8, isIPv6: Bool) -> [UInt8] {
            isIPv6 ? [0xFD, 9] + [UInt8](repeating: 0, count: 13) + [number] : [10, 9, 0, number]
        }

        private static func tunnel(_ kind: Tunnel.Kind, version: UInt8 = 1, identifier: UInt32? = 100, to number: UInt8, isIPv6: Bool)
            -> Tunnel
        {
            var tunnel = Tunnel(kind: kind, remote: isIPv6 ? "fd09::\(number)" : "10.9.0.\(number)", identifier: identifier)
            tunnel.version = version
            return tunnel
        }

        private static let kinds: [(Tunnel.Kind, UInt8)] = [(.vxlan, 1), (.geneve, 1), (.gre, 1), (.erspan, 1), (.erspan, 2)]
        /// Each once, by IPv4 and IPv6 in turn.
        private static let cases = kinds.enumerated().map { ($1.0, $1.1, $0 % 2 == 1) } + [(.vxlan, 1, true)]

        /// Sends copies from one host's address to another's; they arrive at the bench's sensor as they are on the wire. Bridges
        /// flood them, since nobody has that MAC address.
        private static func set(_ bench: TappedBench, _ label: String, _ tunnel: Tunnel, from source: UInt8, mtu: UInt32 = 9_000) throws {
            let remote = try #require(IPAddress.bytes(tunnel.remote))
            let path = UnderlayPath(
                ifindex: bench.bench.destinationIndex, device: bench.bench.destination,
                source: address(source, isIPv6: remote.count == 16), sourceMAC: MACAddress("02:00:00:00:00:01")!,
                nextHop: remote,
                nextHopMAC: MACAddress("02:00:00:00:00:02")!, mtu: mtu)
            let header = try #require(TunnelHeader(tunnel, remote: remote, path: path, mtu: nil))
            try bench.dataplane.setDestination(
                label, DestinationRoute(kind: tunnel.kind.destinationKind, ifindex: path.ifindex, tunnel: header))
        }

        private static func attach(
            _ bench: TappedBench, _ label: String, _ choose: (inout CopyOptions) -> Void = { _ in }
        ) throws -> DesiredAttachment {
            var desired = try bench.desired(tap: label, to: label, choose)
            desired.destinationKind = .vxlan
            try bench.dataplane.attach(desired, at: TappedBench.now)
            return desired
        }

        private static func marked(_ bench: TappedBench, _ desired: DesiredAttachment) throws -> [UInt64] {
            let counters = try bench.counters(desired)
            return try Direction.allCases.map { try #require(counters[$0]).marked.packets }
        }

        /// How frames look that hosts send to others by tunnels. Nothing else may need the relay meanwhile.
        private struct Wrapper {
            let bench: TappedBench

            init() throws {
                bench = try TappedBench(.best)
                try set(bench, "wrap", tunnel(.vxlan, to: 2, isIPv6: false), from: 1)
                _ = try attach(bench, "wrap")
            }

            func wrap(_ frame: [UInt8], _ tunnel: Tunnel, from source: UInt8) throws -> [UInt8] {
                // One that is nobody's is copied whatever is in it.
                try set(bench, "wrap", tunnel, from: source)
                try bench.bench.guest.write(frame)
                return try #require(bench.bench.sensor.receive(1).first)
            }
        }

        @Test(
            "A tap passes over packets of its own destination's tunnel, whoever sent them, and inside three other tunnels",
            arguments: cases)
        func passesOverOwn(_ kind: Tunnel.Kind, _ version: UInt8, _ isIPv6: Bool) throws {
            let own = Self.tunnel(kind, version: version, to: 2, isIPv6: isIPv6)
            let frame = FrameBuilder.udp(1)
            let wrapper = try Wrapper()
            var packets = [try wrapper.wrap(frame, own, from: 1)]
            for (depth, other) in Self.kinds.prefix(3).enumerated() {
                let number = UInt8(depth)
                let tunnel = Self.tunnel(other.0, version: other.1, identifier: 7, to: 4 + number, isIPv6: depth % 2 == 0)
                packets.append(try wrapper.wrap(packets[depth], tunnel, from: 3 + number))
            }
            // As a guest that routes sends it on that puts its own address in the place of the sender's.
            packets.append(try wrapper.wrap(frame, own, from: 4))
            let tapped = try TappedBench(.best)
            try Self.set(tapped, "own", own, from: 1)
            let desired = try Self.attach(tapped, "own")
            for packet in packets {
                try tapped.bench.guest.write(packet)
                #expect(tapped.bench.peer.receive(1) == [packet])
                try tapped.bench.peer.send(packet)
                #expect(tapped.bench.guest.read() == packet)
            }
            #expect(try Self.marked(tapped, desired) == [5, 5])
            try tapped.bench.guest.write(frame)
            #expect(tapped.bench.sensor.receive(2).count == 1, "and of all these no copy")
            let counters = try tapped.counters(desired)
            #expect(counters[.outbound]?.copied.packets == 1 && counters[.inbound]?.copied.packets == 0)
            #expect(try tapped.dataplane.destinations().first { $0.label == "own" }?.errors == Counter())
        }

        @Test("Tunnels of others are copied, those between the same hosts too", arguments: cases)
        func copiesOthers(_ kind: Tunnel.Kind, _ version: UInt8, _ isIPv6: Bool) throws {
            let frame = FrameBuilder.udp(1)
            let wrapper = try Wrapper()
            var others = try [
                wrapper.wrap(frame, Self.tunnel(kind, version: version, to: 3, isIPv6: isIPv6), from: 1),
                wrapper.wrap(frame, Self.tunnel(kind, version: version, to: 1, isIPv6: isIPv6), from: 2),
                wrapper.wrap(frame, Self.tunnel(kind, version: version, to: 2, isIPv6: !isIPv6), from: 1),
            ]
            others += try Self.kinds.filter { $0 != (kind, version) }.map {
                try wrapper.wrap(frame, Self.tunnel($0.0, version: $0.1, to: 2, isIPv6: isIPv6), from: 1)
            }
            // By the same kind to the same receiver, from this host and from another.
            for source in [UInt8(1), 4] {
                let number = Self.tunnel(kind, version: version, identifier: 101, to: 2, isIPv6: isIPv6)
                others.append(try wrapper.wrap(frame, number, from: source))
            }
            let tapped = try TappedBench(.best)
            try Self.set(tapped, "own", Self.tunnel(kind, version: version, to: 2, isIPv6: isIPv6), from: 1)
            let desired = try Self.attach(tapped, "own")
            for other in others {
                try tapped.bench.guest.write(other)
                #expect(tapped.bench.sensor.receive(1).first?.suffix(other.count) == other[...])
            }
            #expect(try Self.marked(tapped, desired) == [0, 0])
            #expect(try tapped.counters(desired)[.outbound]?.copied.packets == UInt64(others.count))
        }

        @Test("A tunnel without a number is known by its sender, too")
        func comparesSendersOfKeyless() throws {
            let frame = FrameBuilder.udp(1)
            let wrapper = try Wrapper()
            let keyless = Self.tunnel(.gre, identifier: nil, to: 2, isIPv6: false)
            let (own, other) = (try wrapper.wrap(frame, keyless, from: 1), try wrapper.wrap(frame, keyless, from: 4))
            let keyed = try wrapper.wrap(frame, Self.tunnel(.gre, identifier: 100, to: 2, isIPv6: false), from: 1)
            let tapped = try TappedBench(.best)
            try Self.set(tapped, "own", keyless, from: 1)
            let desired = try Self.attach(tapped, "own")
            for packet in [own, other, keyed] { try tapped.bench.guest.write(packet) }
            let counters = try #require(try tapped.counters(desired)[.outbound])
            #expect(counters.marked.packets == 1 && counters.copied.packets == 2)
        }

        @Test("Fragments of a copy are not copied, either, nor truncated packets", arguments: [false, true])
        func passesOverPieces(_ isIPv6: Bool) throws {
            let tapped = try TappedBench(.best)
            let own = Self.tunnel(.vxlan, to: 2, isIPv6: isIPv6)
            try Self.set(tapped, "own", own, from: 1, mtu: 1_300)
            let desired = try Self.attach(tapped, "own")
            try tapped.bench.guest.write(FrameBuilder.udp(1, payload: 1_400))
            let fragments = tapped.bench.sensor.receive(2)
            #expect(fragments.count == 2)
            // As much of a packet as is left of its headers, and less of the tunnel's.
            let cut = try #require(fragments.first?.prefix(isIPv6 ? 70 : 42))
            for piece in fragments + [Array(cut)] { try tapped.bench.guest.write(piece) }
            #expect(try tapped.counters(desired)[.outbound]?.marked.packets == 3)
            #expect(tapped.bench.sensor.receive(within: 300) == nil)
        }

        /// What crosses from one host to the other is carried there by the test, without its mark, as a wire would.
        @Test("Receivers on two hosts that are tapped to each other end after one round", arguments: [false, true])
        func endsBetweenHosts(_ isIPv6: Bool) throws {
            let (tapped, other) = (try TappedBench(.best), try TestBench())
            try Self.set(tapped, "there", Self.tunnel(.vxlan, to: 2, isIPv6: isIPv6), from: 1)
            try Self.set(tapped, "back", Self.tunnel(.geneve, to: 1, isIPv6: isIPv6), from: 2)
            let first = try Self.attach(tapped, "there")
            var second = try tapped.desired(tap: "back", to: "back", on: other.guest)
            second.destinationKind = .vxlan
            try tapped.dataplane.attach(second, at: TappedBench.now)
            for number in 1...10 { try tapped.bench.guest.write(FrameBuilder.udp(number)) }
            var crossings: [UInt8] = []
            for _ in 1...10 {
                let packets = tapped.bench.sensor.receive(30)
                for packet in packets {
                    let host = packet[isIPv6 ? 53 : 33]
                    crossings.append(host)
                    try (host == 2 ? other.peer : tapped.bench.peer).send(packet)
                }
                if packets.isEmpty { break }
            }
            // Each frame there, and the copy of that packet back: no more.
            #expect(crossings == [UInt8](repeating: 2, count: 10) + [UInt8](repeating: 1, count: 10))
            #expect(try tapped.counters(first)[.outbound]?.copied.packets == 10)
            #expect(try tapped.counters(second)[.inbound]?.copied.packets == 10)
            #expect(try tapped.counters(first)[.inbound]?.marked.packets == 10)
            #expect(try Self.marked(tapped, second) == [0, 0])
        }

        @Test(
            "A guest that forwards the tunnel's packets can be tapped to that tunnel, also one that translates addresses",
            arguments: [false, true])
        func endsInARouter(_ translates: Bool) throws {
            let tapped = try TappedBench(.best)
            try Self.set(tapped, "own", Self.tunnel(.vxlan, to: 2, isIPv6: false), from: 1)
            let desired = try Self.attach(tapped, "own")
            try tapped.bench.guest.write(FrameBuilder.udp(1))
            for _ in 1...2 {
                // Out of the host into the guest that is its router,
                for packet in tapped.bench.sensor.receive(1) { try tapped.bench.peer.send(packet) }
                // and out of that again.
                guard var packet = tapped.bench.guest.read() else { continue }
                if translates {
                    packet.replaceSubrange(26..<30, with: [203, 0, 113, 7])
                    packet.replaceSubrange(24..<26, with: [0, 0])
                    packet.replaceSubrange(24..<26, with: FrameBuilder.checksum(packet[14..<34]))
                }
                try tapped.bench.guest.write(packet)
            }
            let counters = try tapped.counters(desired)
            #expect(counters[.outbound]?.copied.packets == 1 && counters[.outbound]?.marked.packets == 1)
            #expect(counters[.inbound]?.copied.packets == 0 && counters[.inbound]?.marked.packets == 1)
        }

        @Test("Sensors that are tapped to each other get each frame once", arguments: Mechanism.here)
        func endsBetweenSensors(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let other = try TapDevice("twin\(tapped.bench.number)")
            try ip("link set \(other.name) master \(tapped.bench.bridge) up\n")
            try tapped.dataplane.setDestination("one", kind: .domain, ifindex: tapped.bench.guest.index)
            try tapped.dataplane.setDestination("two", kind: .domain, ifindex: other.index)
            let first = try tapped.attach(tap: "one", to: "two")
            let second = try tapped.attach(tap: "two", to: "one", on: other)
            let frames = (1...20).map { FrameBuilder.udp($0) }
            for frame in frames { try tapped.bench.guest.write(frame) }
            #expect(tapped.bench.peer.receive(20) == frames)
            // The bridge does not know the peer yet, so the original may be flooded to the other as well.
            var atOther: [[UInt8]] = []
            while let frame = other.read() { atOther.append(frame) }
            #expect(frames.allSatisfy { frame in atOther.contains(frame) } && (20...40).contains(atOther.count))
            #expect(try tapped.counters(first)[.outbound]?.copied.packets == 20)
            let counters = try #require(try tapped.counters(second)[.inbound])
            #expect(counters.marked.packets == 20)
            // Those that were flooded are no copies, and are copied to the first, whose tap leaves them alone.
            #expect(counters.copied.packets == UInt64(atOther.count - 20))
            #expect(try tapped.counters(first)[.inbound]?.marked.packets == counters.copied.packets)
        }
    }
}

extension Mechanism {
    /// The one that this kernel is best at.
    static var best: Mechanism { possible.contains(.tcx) ? .tcx : .clsact }
}
