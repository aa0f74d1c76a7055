// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import Glibc
import TapModel
import Testing

extension KernelSuite {
    /// What a guest can make up against the way that copies take to another machine.
    @Suite("Frames made against tunnels")
    struct HostileTunnelTests {
        private struct Setup {
            let tapped: TappedBench
            let desired: DesiredAttachment

            init(
                _ kind: Tunnel.Kind = .vxlan, isIPv6: Bool = false, mtu: UInt32 = 1_500, oversize: Tunnel.Oversize = .fragment,
                _ choose: (inout CopyOptions) -> Void = { _ in }
            ) throws {
                tapped = try TappedBench(Mechanism.here[0], withHeader: true)
                let remote = isIPv6 ? "fd09::2" : "10.9.0.2"
                let bytes = try #require(IPAddress.bytes(remote))
                let path = UnderlayPath(
                    ifindex: tapped.bench.destinationIndex, device: tapped.bench.destination, source: bytes,
                    sourceMAC: MACAddress("02:00:00:00:00:01")!, nextHop: bytes, nextHopMAC: MACAddress("02:00:00:00:00:02")!, mtu: mtu)
                let header = try #require(
                    TunnelHeader(
                        Tunnel(kind: kind, remote: remote, identifier: 9, oversize: oversize), remote: bytes, path: path, mtu: nil))
                try tapped.dataplane.setDestination(
                    "far", DestinationRoute(kind: kind.destinationKind, ifindex: path.ifindex, tunnel: header))
                var desired = try tapped.desired(to: "far", choose)
                desired.destinationKind = kind.destinationKind
                try tapped.dataplane.attach(desired, at: TappedBench.now)
                self.desired = desired
                // As a wire would have it.
                try run("ip", "link", "set", tapped.bench.destination, "mtu", "9000")
                try run("ip", "link", "set", tapped.bench.far, "mtu", "9000")
                try DeviceOffloads.end(on: tapped.bench.destination)
            }

            var record: DestinationRecord { get throws { try #require(try tapped.dataplane.destinations().first { $0.label == "far" }) } }

            /// What has been counted when something has, and nothing more is.
            func settled(since before: DestinationRecord) throws -> DestinationRecord {
                var last = before
                for _ in 0..<100 {
                    usleep(20_000)
                    let now = try record
                    if now == last, now != before { break }
                    last = now
                }
                return last
            }

            func end() { _ = try? tapped.dataplane.purge() }
        }

        private static func tcp(_ segmentSize: UInt16) -> TapDevice.Offload {
            TapDevice.Offload(type: 1, segmentSize: segmentSize, headerLength: 66, checksumStart: 34, checksumOffset: 16)
        }

        @Test("Segments are never made so small that a frame becomes many times what it was")
        func staysBounded() throws {
            // Room for 114 bytes: segments of 51 with their headers are 117.
            let setup = try Setup(mtu: 150)
            defer { setup.end() }
            for size in [UInt16(49), 50, 51, 60, 100, 101] {
                let before = try setup.record
                try setup.tapped.bench.guest.write(FrameBuilder.tcp(payload: 3_000), Self.tcp(size))
                let after = try setup.settled(since: before)
                let sent = after.sent.packets - before.sent.packets
                let segments = UInt64((3_000 + Int(size) - 1) / Int(size))
                #expect(sent <= 2 * segments + 1, "\(sent) packets of \(segments) segments of \(size)")
                #expect(sent + after.errors.packets - before.errors.packets > 0, "of \(size)")
            }
        }

        @Test("Only what leaves counts as truncated", arguments: [false, true])
        func countsWhatLeaves(_ isIPv6: Bool) throws {
            let setup = try Setup(isIPv6: isIPv6, mtu: 1_300, oversize: .truncate)
            defer { setup.end() }
            let (guest, destination) = (setup.tapped.bench.guest, setup.tapped.bench.destination)
            let large = FrameBuilder.udp(1, payload: 1_400)
            try guest.write(large)
            #expect(setup.tapped.bench.sensor.receive(1).count == 1)
            // What is outside, its Ethernet header apart.
            let room = UInt64(1_300 - (isIPv6 ? 56 : 36))
            var record = try setup.record
            #expect(record.truncated == Counter(packets: 1, bytes: UInt64(large.count)))
            #expect(record.given == Counter(packets: 1, bytes: room))
            try run("ip", "link", "set", destination, "down")
            for _ in 1...3 { try guest.write(large) }
            usleep(20_000)
            record = try setup.record
            #expect(record.truncated.packets == 1 && record.given.packets == 1 && record.given.bytes == room)
            #expect(record.errors.packets == 3)
        }

        @Test("A checksum to be filled in somewhere spoils no outer header", arguments: [false, true])
        func headersStay(_ isIPv6: Bool) throws {
            let setup = try Setup(.gre, isIPv6: isIPv6)
            defer { setup.end() }
            let bench = setup.tapped.bench
            var packets: [[UInt8]] = []
            var accepted = 0
            let starts = [UInt16](Swift.stride(from: 14, to: 60, by: 8)) + [UInt16](Swift.stride(from: 700, to: 800, by: 9))
            for (number, start) in starts.enumerated() {
                // Too large for the path by a little: it becomes two fragments.
                let frame = FrameBuilder.udp(number, payload: 1_472)
                // Some places the kernel does not take.
                let offload = TapDevice.Offload(type: 0, segmentSize: 0, headerLength: 0, checksumStart: start, checksumOffset: 2)
                guard (try? bench.guest.write(frame, offload)) != nil else { continue }
                accepted += 1
                packets += bench.sensor.receive(2)
            }
            // What cannot be given a checksum where the guest says is an error, and not sent.
            let record = try setup.record
            #expect(accepted > 10 && record.sent.packets + record.errors.packets == UInt64(accepted))
            #expect(record.sent.packets > 5 && packets.count == 2 * Int(record.sent.packets))
            for packet in packets {
                if isIPv6 {
                    #expect(packet[22..<54].elementsEqual((IPAddress.bytes("fd09::2")! + IPAddress.bytes("fd09::2")!)[...]))
                } else {
                    #expect(packet[26..<34].elementsEqual([10, 9, 0, 2, 10, 9, 0, 2]))
                    #expect(FrameBuilder.checksum(packet[14..<34]) == [0, 0])
                }
            }
        }

        @Test("Frames that cannot be truncated delay nobody's copies")
        func stallsNobody() throws {
            let setup = try Setup { $0.snaplen = .bytes(100) }
            defer { setup.end() }
            let bench = setup.tapped.bench
            var bad = FrameBuilder.tcp(payload: 20_000)
            // A TCP header of 16 bytes.
            bad[46] = 0x40
            for _ in 0..<40 { try bench.guest.write(bad, Self.tcp(1_448)) }
            let good = FrameBuilder.tcp(payload: 14_000)
            for _ in 0..<5 {
                try bench.guest.write(good, Self.tcp(1_400))
                #expect(bench.sensor.receive(10).count == 10)
            }
        }

        @Test("Frames of jumbo size are sent in fragments, as many as it takes", arguments: [3_000, 6_000, 8_900])
        func jumboArrives(_ payload: Int) throws {
            let setup = try Setup()
            defer { setup.end() }
            let frame = FrameBuilder.udp(1, payload: payload)
            try setup.tapped.bench.guest.write(frame)
            let fragments = setup.tapped.bench.sensor.receive(2)
            // What is behind IP's header of each, behind the tunnel's of the first.
            let whole = fragments.flatMap { $0.dropFirst(34) }
            #expect(Array(whole.dropFirst(16)) == frame, "\(fragments.count) fragments")
            #expect(fragments.allSatisfy { $0.count <= 1_514 })
            let record = try setup.record
            #expect(record.fragmented.packets == 1 && record.sent.packets == 1 && record.errors == Counter())
        }

        @Test("Frames with as many tags as a switch stacks are copied")
        func tagsHideNothing() throws {
            let setup = try Setup()
            defer { setup.end() }
            for count in 0...4 {
                let frame = FrameBuilder.udp(count, payload: 300, tags: (0..<count).map { UInt16(10 + $0) })
                try setup.tapped.bench.guest.write(frame)
                #expect(setup.tapped.bench.sensor.receive(1).first?.suffix(frame.count) == frame[...], "\(count) tags")
            }
        }

        @Test("Packets of the host's own tunnels to a guest are copied")
        func copiesTunnels() throws {
            let setup = try Setup()
            defer { setup.end() }
            let bench = setup.tapped.bench
            let number = bench.number
            try ip(
                """
                addr add 10.77.0.1/24 dev \(bench.bridge)
                neigh add 10.77.0.2 lladdr 52:54:00:12:34:56 dev \(bench.bridge) nud permanent
                link add vx\(number) type vxlan id 5 remote 10.77.0.2 local 10.77.0.1 dstport 4789 dev \(bench.bridge)
                link set vx\(number) up

                """)
            defer { _ = try? run("ip", "link", "del", "vx\(number)") }
            let device = try PacketSocket(on: "vx\(number)")
            for number in 1...10 { try device.send(FrameBuilder.udp(number, payload: 200)) }
            var originals: [[UInt8]] = []
            while let frame = bench.guest.read() { originals.append(frame) }
            #expect(originals.count == 10)
            let copies = bench.sensor.receive(10)
            #expect(copies.map { Array($0.dropFirst(50)) } == originals)
            #expect(try setup.record.errors == Counter())
        }
    }
}
