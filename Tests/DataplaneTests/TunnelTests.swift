// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import Foundation
import TapModel
import Testing

extension KernelSuite {
    @Suite("Copies for another machine")
    struct TunnelTests {
        /// Another machine with a real VXLAN device: what it takes out of the tunnel comes back to `inner`.
        private struct Receiver {
            static let identifier: UInt32 = 100
            let name: String
            let inner: PacketSocket
            let path: UnderlayPath
            let remote: [UInt8]

            init(_ bench: TestBench, isIPv6: Bool, mtu: UInt32 = 1_500) throws {
                let number = bench.number
                name = "far\(number)"
                // The far end of what is the destination's device elsewhere is this machine's link to that one.
                try run("ip", "netns", "add", name)
                try ip(
                    """
                    link add back\(number) type veth peer name front\(number)
                    link set front\(number) netns \(name)
                    link set back\(number) up mtu 9000
                    link set \(bench.destination) mtu \(mtu)
                    link set \(bench.far) netns \(name)

                    """)
                try run(
                    "ip", "netns", "exec", name, "sh", "-c",
                    "cd /proc/sys/net/ipv6/conf; echo 1 >default/disable_ipv6; echo 1 >front\(number)/disable_ipv6; echo \(isIPv6 ? 0 : 1) >\(bench.far)/disable_ipv6;"
                        // A bridge with filters drops IP packets that are shorter than they say.
                        + "for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e $f ] || echo 0 >$f; done")
                let address = isIPv6 ? "fd09::2/64 nodad" : "10.9.0.2/24"
                let local = isIPv6 ? "fd09::2" : "10.9.0.2"
                try run(
                    "ip", "-n", name, "-batch", "-",
                    input: """
                        link set lo up
                        link set \(bench.far) mtu \(mtu) up
                        addr add \(address) dev \(bench.far)
                        link add name vx type vxlan id \(Self.identifier) dstport 4789 local \(local)
                        link add name brx type bridge mcast_snooping 0
                        link set vx mtu 9000 master brx up
                        link set vx type bridge_slave learning off
                        link set front\(number) mtu 9000 master brx up
                        link set brx up

                        """)
                inner = try PacketSocket(on: "back\(number)")
                remote = isIPv6 ? IPAddress.bytes("fd09::2")! : [10, 9, 0, 2]
                path = UnderlayPath(
                    ifindex: bench.destinationIndex, device: bench.destination,
                    source: isIPv6 ? IPAddress.bytes("fd09::1")! : [10, 9, 0, 1], sourceMAC: try Self.mac(of: bench.destination, in: nil),
                    nextHop: remote, nextHopMAC: try Self.mac(of: bench.far, in: name), mtu: mtu)
            }

            static func mac(of device: String, in namespace: String?) throws -> MACAddress {
                let text =
                    try namespace.map { try run("ip", "-n", $0, "-o", "link", "show", device) } ?? run("ip", "-o", "link", "show", device)
                let words = text.split(separator: " ").map(String.init)
                let place = try #require(words.firstIndex(of: "link/ether"))
                return try #require(MACAddress(words[place + 1]))
            }

            func route(
                limit: UInt32? = nil, oversize: Tunnel.Oversize = .fragment, _ change: (inout Tunnel) -> Void = { _ in }
            ) throws -> DestinationRoute {
                var tunnel = Tunnel(
                    kind: .vxlan, remote: remote.count == 16 ? "fd09::2" : "10.9.0.2", identifier: Self.identifier, oversize: oversize)
                change(&tunnel)
                let header = try #require(TunnelHeader(tunnel, remote: remote, path: path, mtu: limit))
                return DestinationRoute(kind: .vxlan, ifindex: path.ifindex, tunnel: header)
            }

            /// Packets that have come in, by the device's count.
            func received() throws -> Int {
                let lines = try run("ip", "-n", name, "-s", "link", "show", "sensor" + name.dropFirst(3)).split(separator: "\n")
                let place = try #require(lines.firstIndex { $0.contains("RX:") })
                return try #require(Int(lines[place + 1].split(separator: " ")[1]))
            }

            func remove() { NetworkNamespace(name).remove() }
        }

        private static let cases = Mechanism.here.flatMap { mechanism in [false, true].map { (mechanism, $0) } }

        private func attach(
            _ tapped: TappedBench, _ direction: TapDirection = .both, _ choose: (inout CopyOptions) -> Void = { _ in }
        ) throws -> DesiredAttachment {
            var desired = try tapped.desired(direction, to: "far", choose)
            desired.destinationKind = .vxlan
            try tapped.dataplane.attach(desired, at: TappedBench.now)
            return desired
        }

        @Test("A Linux machine's VXLAN device gets each frame as it was, by IPv4 and by IPv6", arguments: cases)
        func arrives(_ mechanism: Mechanism, _ isIPv6: Bool) throws {
            let tapped = try TappedBench(mechanism)
            let receiver = try Receiver(tapped.bench, isIPv6: isIPv6)
            defer { receiver.remove() }
            try tapped.dataplane.setDestination("far", receiver.route())
            let desired = try attach(tapped)
            let (sent, areWhole) = try tapped.exchange(20)
            #expect(areWhole)
            #expect(receiver.inner.receive(40) == sent)
            for tags: [UInt16] in [[10], [10, 20]] {
                for payload in [4, 101, 1_400] {
                    let frame = FrameBuilder.udp(payload, payload: payload, tags: tags)
                    try tapped.bench.guest.write(frame)
                    #expect(tapped.bench.peer.receive(1) == [frame])
                    #expect(receiver.inner.receive(1) == [frame], "\(tags) \(payload)")
                }
            }
            let counters = try tapped.counters(desired)
            #expect(counters.values.allSatisfy { $0.seen == $0.copied } && counters[.outbound]?.copied.packets == 26)
            let destination = try #require(try tapped.dataplane.destinations().first { $0.label == "far" })
            #expect(destination.sent.packets == 46 && destination.errors.packets == 0)
        }

        @Test("What the guest left to others is done before it leaves: segments that fit, checksums", arguments: cases)
        func isFinished(_ mechanism: Mechanism, _ isIPv6: Bool) throws {
            let tapped = try TappedBench(mechanism, withHeader: true)
            let receiver = try Receiver(tapped.bench, isIPv6: isIPv6)
            defer { receiver.remove() }
            let route = try receiver.route()
            try tapped.dataplane.setDestination("far", route)
            let desired = try attach(tapped, .outbound)
            // A veth would hand both on as they are.
            try DeviceOffloads.end(on: tapped.bench.destination)
            let payload = 20_000
            let gsoPacket = FrameBuilder.tcp(payload: payload).withPseudoSum
            try tapped.bench.guest.write(
                gsoPacket, TapDevice.Offload(type: 1, segmentSize: 1_448, headerLength: 66, checksumStart: 34, checksumOffset: 16))
            #expect(tapped.bench.peer.receive(1).map(\.count) == [gsoPacket.count])
            // The headers of 66 bytes are in each. The receiver's kernel joins them again, which it does with what has a good checksum.
            let most = Int(try #require(route.tunnel).room) - 66
            let count = (payload + most - 1) / most
            let segments = receiver.inner.receive(1)
            #expect(segments.flatMap { $0.dropFirst(66) } == Array(gsoPacket.dropFirst(66)))
            #expect(try receiver.received() == count)

            // One frame whose checksum is left to the device.
            let frame = FrameBuilder.tcp(payload: 500).withPseudoSum
            try tapped.bench.guest.write(
                frame, TapDevice.Offload(type: 0, segmentSize: 0, headerLength: 0, checksumStart: 34, checksumOffset: 16))
            let single = receiver.inner.receive(1)
            #expect(single.map(\.count) == [frame.count] && single.allSatisfy(\.hasGoodChecksum))
            #expect(single.first.map { $0[52...] } == frame[52...])
            let counters = try #require(try tapped.counters(desired)[.outbound])
            #expect(counters.seen == counters.copied && counters.copied.packets == 15)
            let destination = try #require(try tapped.dataplane.destinations().first { $0.label == "far" })
            #expect(destination.sent.packets == UInt64(count + 1) && destination.errors.packets == 0)
        }

        @Test("A device with segmentation offload gets GSO packets whole, in headers that describe them", arguments: Mechanism.here)
        func leavesWhole(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism, withHeader: true)
            let receiver = try Receiver(tapped.bench, isIPv6: false)
            defer { receiver.remove() }
            try tapped.dataplane.setDestination("far", receiver.route())
            let desired = try attach(tapped, .outbound)
            let frame = FrameBuilder.tcp(payload: 20_000).withPseudoSum
            for _ in 0..<20 {
                try tapped.bench.guest.write(
                    frame, TapDevice.Offload(type: 1, segmentSize: 1_448, headerLength: 66, checksumStart: 34, checksumOffset: 16))
            }
            #expect(tapped.bench.peer.receive(20).allSatisfy { $0 == frame })
            // What the receiver's kernel takes out of the tunnel is the GSO packet.
            let copies = receiver.inner.receive(20)
            #expect(copies.count == 20 && copies.allSatisfy { $0[..<50] == frame[..<50] && $0[52...] == frame[52...] })
            #expect(try receiver.received() == 20)
            let most = 1_448 - 50
            let segments = (20_000 + most - 1) / most
            #expect(try tapped.counters(desired)[.outbound]?.copied.packets == 20 * 14)
            let destination = try #require(try tapped.dataplane.destinations().first { $0.label == "far" })
            #expect(destination.sent == Counter(packets: UInt64(20 * segments), bytes: UInt64(20 * (20_000 + 66 * segments))))
            #expect(destination.errors == Counter())
        }

        @Test("A frame that is too large is sent in fragments, truncated, or dropped, and counted", arguments: cases)
        func isTooLarge(_ mechanism: Mechanism, _ isIPv6: Bool) throws {
            let tapped = try TappedBench(mechanism)
            let receiver = try Receiver(tapped.bench, isIPv6: isIPv6)
            defer { receiver.remove() }
            try tapped.dataplane.setDestination("far", receiver.route())
            let desired = try attach(tapped)
            func record() throws -> DestinationRecord { try #require(try tapped.dataplane.destinations().first { $0.label == "far" }) }
            let room = Int(try #require(receiver.route().tunnel).room)
            // From the largest that fits to the largest that the guest sends, tags among them.
            var frames: [[UInt8]] = []
            for payload in [room - 42, room - 41, room - 40, 1_460, 1_472] { frames.append(FrameBuilder.udp(payload, payload: payload)) }
            frames.append(FrameBuilder.udp(9, payload: 1_468, tags: [7]))
            for frame in frames { try tapped.bench.guest.write(frame) }
            #expect(tapped.bench.peer.receive(frames.count) == frames)
            #expect(receiver.inner.receive(frames.count) == frames)
            #expect(try record().fragmented.packets == 5 && record().sent.packets == 6 && record().errors.packets == 0)

            // A path of less, in several fragments.
            try tapped.dataplane.setDestination("far", receiver.route(limit: 600))
            try tapped.bench.guest.write(frames[4])
            #expect(receiver.inner.receive(1) == [frames[4]])
            #expect(try record().fragmented.packets == 6)

            try tapped.dataplane.setDestination("far", receiver.route(oversize: .truncate))
            for frame in [frames[0], frames[4]] { try tapped.bench.guest.write(frame) }
            let cut = receiver.inner.receive(2)
            #expect(cut.map(\.count) == [frames[0].count, room])
            #expect(cut == [frames[0], Array(frames[4].prefix(room))])
            #expect(try record().truncated.packets == 1)

            try tapped.dataplane.setDestination("far", receiver.route(oversize: .drop))
            for frame in [frames[4], frames[0]] { try tapped.bench.guest.write(frame) }
            #expect(receiver.inner.receive(2) == [frames[0]])
            #expect(try record().oversized.packets == 1)
            let counters = try #require(try tapped.counters(desired)[.outbound])
            // By IPv6 it has gone through the pair, behind which nobody can tell the tap.
            #expect(
                counters.seen.packets == 11 && counters.errors.packets == (isIPv6 ? 0 : 1)
                    && counters.seen == counters.copied + counters.errors)
            #expect(try record().errors.packets == 1)
        }

        @Test("Truncated copies are encapsulated, too, and directions may have numbers of their own", arguments: cases)
        func isCut(_ mechanism: Mechanism, _ isIPv6: Bool) throws {
            let tapped = try TappedBench(mechanism, withHeader: true)
            let receiver = try Receiver(tapped.bench, isIPv6: isIPv6)
            defer { receiver.remove() }
            try tapped.dataplane.setDestination(
                "far",
                receiver.route {
                    $0.identifier = nil
                    $0.outboundIdentifier = Receiver.identifier
                    $0.inboundIdentifier = Receiver.identifier + 1
                })
            let desired = try attach(tapped) { $0.snaplen = .bytes(100) }
            let frame = FrameBuilder.udp(1, payload: 500)
            try tapped.bench.guest.write(frame)
            try tapped.bench.guest.write(
                FrameBuilder.tcp(payload: 5_000),
                TapDevice.Offload(type: 1, segmentSize: 1_448, headerLength: 66, checksumStart: 34, checksumOffset: 16))
            let copies = receiver.inner.receive(5)
            #expect(copies.map(\.count) == [100, 100, 100, 100, 100])
            #expect(copies.first == Array(frame.prefix(100)))
            // The other direction's number is of no device there.
            try tapped.bench.peer.send(FrameBuilder.udp(2, toGuest: true))
            #expect(tapped.bench.guest.read() != nil)
            #expect(receiver.inner.receive(within: 300) == nil)
            #expect(try tapped.counters(desired)[.inbound]?.copied.packets == 1)
            #expect(try tapped.dataplane.destinations().first { $0.label == "far" }?.sent.packets == 6)
        }

        /// Of a TCP or UDP frame over IPv4 without options: the sum over all that the checksum covers is right.
    }
}
