// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import TapModel
import Testing

extension KernelSuite {
    @Suite("Copies that go into a guest")
    struct SensorGuestTests {
        enum Kind: CaseIterable {
            case tap, macvtap
        }

        /// A sensor VM's device, with somebody at the other end of its network.
        private struct Sensor {
            static let mac: [UInt8] = [0x52, 0x54, 0x00, 0x77, 0x77, 0x77]
            let guest: TapDevice
            let network: PacketSocket
            let devices: [String]

            init(_ kind: Kind, _ number: Int) throws {
                try ip("link add low\(number) type veth peer name net\(number)\nlink set low\(number) up\nlink set net\(number) up\n")
                switch kind {
                case .tap:
                    guest = try TapDevice("sens\(number)", withHeader: true)
                    try ip(
                        """
                        link add sbr\(number) type bridge mcast_snooping 0
                        link set low\(number) master sbr\(number)
                        link set sens\(number) master sbr\(number) up
                        link set sbr\(number) up

                        """)
                    devices = ["low\(number)", "sbr\(number)"]
                case .macvtap:
                    try ip(
                        """
                        link add link low\(number) name sens\(number) address 52:54:00:77:77:77 type macvtap mode bridge
                        link set sens\(number) up

                        """)
                    guest = try TapDevice(macvtap: "sens\(number)")
                    devices = ["low\(number)"]
                }
                network = try PacketSocket(on: "net\(number)")
            }

            func route(_ kind: Kind) -> DestinationRoute {
                DestinationRoute(kind: .domain, ifindex: guest.index, isReceiving: kind == .macvtap)
            }

            func read(_ count: Int) -> [[UInt8]] {
                var frames: [[UInt8]] = []
                while frames.count < count, let frame = guest.read() { frames.append(frame) }
                return frames
            }

            func remove() { for device in devices { _ = try? run("ip", "link", "del", device) } }
        }

        private static let cases = Mechanism.here.flatMap { mechanism in Kind.allCases.map { (mechanism, $0) } }

        @Test("They arrive as they were, tags included, and leave the sensor's own traffic alone", arguments: cases)
        func arrive(_ mechanism: Mechanism, _ kind: Kind) throws {
            let tapped = try TappedBench(mechanism)
            let sensor = try Sensor(kind, tapped.bench.number)
            defer { sensor.remove() }
            try tapped.dataplane.setDestination("vm", sensor.route(kind))
            let desired = try tapped.attach(to: "vm")
            let (sent, areWhole) = try tapped.exchange(5)
            #expect(areWhole)
            #expect(sensor.read(10) == sent)
            for tags: [UInt16] in [[10], [10, 20]] {
                let frame = FrameBuilder.udp(1, tags: tags)
                try tapped.bench.guest.write(frame)
                #expect(tapped.bench.peer.receive(1) == [frame])
                #expect(sensor.read(1) == [frame], "\(tags)")
            }
            // Nothing of it got into the network that the sensor is in.
            #expect(sensor.network.receive(within: 300) == nil)
            var own = FrameBuilder.udp(3)
            own.replaceSubrange(6..<12, with: Sensor.mac)
            try sensor.guest.write(own)
            #expect(sensor.network.receive(1) == [own])
            var answer = FrameBuilder.udp(4)
            answer.replaceSubrange(0..<6, with: Sensor.mac)
            try sensor.network.send(answer)
            #expect(sensor.read(1) == [answer])
            let counters = try tapped.counters(desired)
            #expect(counters[.outbound]?.copied.packets == 7 && counters[.inbound]?.copied.packets == 5)
            #expect(counters.values.allSatisfy { $0.seen == $0.copied })
            #expect(try tapped.dataplane.destinations().first { $0.label == "vm" }?.sent.packets == 12)
        }

        @Test("Cut or whole, GSO packets arrive as the guest takes them", arguments: cases)
        func areCut(_ mechanism: Mechanism, _ kind: Kind) throws {
            let tapped = try TappedBench(mechanism, withHeader: true)
            let sensor = try Sensor(kind, tapped.bench.number)
            defer { sensor.remove() }
            try tapped.dataplane.setDestination("vm", sensor.route(kind))
            let gsoPacket = FrameBuilder.tcp(payload: 3 * 1_448)
            let offload = TapDevice.Offload(type: 1, segmentSize: 1_448, headerLength: 66, checksumStart: 34, checksumOffset: 16)
            let single = FrameBuilder.udp(7, payload: 400)
            for snaplen: Snaplen? in [nil, .bytes(128), .headers] {
                let desired = try tapped.attach(.outbound, to: "vm") { $0.snaplen = snaplen }
                try tapped.bench.guest.write(single)
                try tapped.bench.guest.write(gsoPacket, offload)
                #expect(tapped.bench.peer.receive(2).map(\.count) == [single.count, gsoPacket.count])
                // A tap device's reader has to ask for GSO packets (TUNSETOFFLOAD), a macvtap's gets them.
                let isWhole = kind == .macvtap && snaplen == nil
                let copies = sensor.read(isWhole ? 2 : 4)
                let lengths =
                    switch snaplen {
                    case nil: isWhole ? [single.count, gsoPacket.count] : [single.count, 1_514, 1_514, 1_514]
                    case .bytes?: [128, 128, 128, 128]
                    case .headers?: [42, 66, 66, 66]
                    }
                #expect(copies.map(\.count) == lengths)
                #expect(sensor.network.receive(within: 300) == nil)
                let counters = try #require(try tapped.counters(desired)[.outbound])
                #expect(counters.copied.packets == 4 && counters.seen == counters.copied)
                try tapped.dataplane.detach(desired.key.id)
            }
            #expect(try tapped.dataplane.destinations().first { $0.label == "vm" }?.sent.packets == 12)
        }

        @Test("A sensor that takes nothing, or has gone, costs copies and no frame", arguments: cases)
        func isFull(_ mechanism: Mechanism, _ kind: Kind) throws {
            let tapped = try TappedBench(mechanism)
            let sensor = try Sensor(kind, tapped.bench.number)
            defer { sensor.remove() }
            try tapped.dataplane.setDestination("vm", sensor.route(kind))
            let desired = try tapped.attach(.outbound, to: "vm")
            // More than its queue has room for.
            for first in Swift.stride(from: 0, to: 2_000, by: 20) {
                let frames = (first..<(first + 20)).map { FrameBuilder.udp($0) }
                for frame in frames { try tapped.bench.guest.write(frame) }
                #expect(tapped.bench.peer.receive(20) == frames)
            }
            let counters = try #require(try tapped.counters(desired)[.outbound])
            #expect(counters.seen.packets == 2_000 && counters.seen == counters.copied + counters.errors)
            let arrived = sensor.read(2_000).count
            #expect(arrived > 0 && arrived < 2_000)
            sensor.remove()
            try tapped.dataplane.setDestination("vm", DestinationRoute(kind: .domain, ifindex: 0))
            #expect(try tapped.exchange(5).areWhole)
            let after = try #require(try tapped.counters(desired)[.outbound])
            #expect(after.errors.packets == counters.errors.packets + 5)
        }
    }
}
