// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import DataplaneTestSupport
import Foundation
import Glibc
import TapModel
import Testing

@testable import Dataplane
extension KernelSuite {
    @Suite("Monitor ports")
    struct MonitorPortTests {
        private func settings(_ device: String, _ values: [String: String]) throws {
            for (name, value) in values {
                try value.write(toFile: "/proc/sys/net/\(name.replacing("*", with: device))", atomically: false, encoding: .utf8)
            }
        }

        // MARK: What sensors get

        @Test("A sensor gets every copy whole and as having come in, with tags and GSO packets", arguments: Mechanism.here)
        func givesCopies(_ mechanism: Mechanism) throws {
            let port = try TappedPort(mechanism, withHeader: true)
            #expect(port.port.change == .made && port.port.listener == port.name)
            let sensor = try PacketSocket(on: port.name)
            try port.tapped.attach()
            let (sent, areWhole) = try port.tapped.exchange(20, payload: 1_400)
            #expect(areWhole)
            let copies = sensor.receive(sent.count)
            #expect(Set(copies) == Set(sent) && copies.count == sent.count)
            let large = GSOPacket(payload: 60_000, tags: [7], segmentSize: 1_448)
            try port.tapped.bench.guest.write(large.frame, large.offload)
            #expect(sensor.receive(1) == [large.frame])
            // Both ends, too: what does not fit would be lost.
            let devices = try port.tapped.dataplane.devices()
            #expect(devices.filter { [port.name, port.own].contains($0.name) }.map(\.mtu) == [65_535, 65_535])
            #expect(devices.filter { [port.name, port.own].contains($0.name) }.allSatisfy { $0.isUp && $0.hasCarrier && !$0.hasAddress })
            // It is there: nothing to do.
            #expect(try port.keep() == MonitorPort(ifindex: port.port.ifindex, listener: port.name))
        }

        @Test("Truncated copies and those with offloads resolved arrive as well", arguments: Mechanism.here)
        func givesFinishedCopies(_ mechanism: Mechanism) throws {
            let port = try TappedPort(mechanism, withHeader: true)
            let sensor = try PacketSocket(on: port.name)
            try port.tapped.attach(.outbound) { $0.snaplen = .bytes(128) }
            let frame = FrameBuilder.udp(1, payload: 1_000)
            try port.tapped.bench.guest.write(frame)
            #expect(sensor.receive(1) == [Array(frame.prefix(128))])
            let large = GSOPacket(payload: 10_000, tags: [], segmentSize: 1_448)
            try port.tapped.bench.guest.write(large.frame, large.offload)
            let segments = large.segments(of: 1_448).map { Array($0.prefix(128)) }
            #expect(sensor.receive(segments.count) == segments)
        }

        // MARK: The host

        @Test("Nothing of it reaches the host, and nothing of the host's gets there", arguments: Mechanism.here)
        func keepsApart(_ mechanism: Mechanism) throws {
            let port = try TappedPort(mechanism)
            let atSensor = try PacketSocket(on: port.name, takesOutgoing: true)
            let atOwn = try PacketSocket(on: port.own)
            // As a host may be set up by whoever takes every device for a network adapter.
            try settings(
                port.name,
                [
                    "ipv6/conf/*/disable_ipv6": "0", "ipv6/conf/*/accept_ra": "2", "ipv6/conf/*/addr_gen_mode": "0",
                    "ipv4/conf/*/accept_local": "1", "ipv4/conf/*/rp_filter": "0", "ipv4/conf/*/arp_accept": "1",
                ])
            // The guest's network has no other machine that would answer, and this one hears it by copies or not at all.
            let bench = port.tapped.bench
            for device in [bench.bridge, "peer\(bench.number)"] { try ip("link set \(device) arp off\n") }
            let before = try HostView(port.name)
            try ip(
                """
                link set \(port.name) down
                link set \(port.name) arp on
                link set \(port.name) up
                addr add 198.51.100.1/24 dev \(port.name)
                addr add fd00:51::1/64 dev \(port.name) nodad

                """)
            defer { _ = try? ip("addr flush dev \(port.name)\n") }
            // Addresses are not settled before nobody has claimed them for a second.
            var configured = try HostView(port.name)
            for _ in 0..<50 where !configured.isSettled {
                usleep(100_000)
                configured = try HostView(port.name)
            }
            #expect(configured != before && configured.isSettled)
            let listener = try UDPListener(port: 5_000, device: port.name)
            // The host asks, announces, and sends: by ARP, IP, DHCP and a program's own frames.
            try listener.send(to: "198.51.100.7")
            try listener.send(to: "198.51.100.255")
            _ = try? run("busybox", "udhcpc", "-i", port.name, "-n", "-q", "-t", "1", "-T", "1", "-s", "/bin/true")
            _ = try? run("busybox", "arping", "-c", "1", "-w", "1", "-I", port.name, "198.51.100.7")
            let mac = try #require(try port.tapped.dataplane.device(named: port.name)?.mac).bytes
            let ownMAC = try #require(try port.tapped.dataplane.device(named: port.own)?.mac).bytes
            let bypassing = try PacketSocket(on: port.name, bypassesQueue: true)
            let evasive = HostileFrame.udp(to: ownMAC, destination: [198, 51, 100, 1])
            try bypassing.send(evasive)
            try? PacketSocket(on: port.name).send(HostileFrame.udp(to: ownMAC, destination: [198, 51, 100, 1]))
            #expect(atOwn.receive(1) == [evasive])
            #expect(atSensor.receive(within: 50) == nil, "something of the host's came to the sensor")
            // A guest sends what would change a host, or what it would answer.
            try port.tapped.attach()
            let frames = HostileFrame.all(for: mac)
            for frame in frames { try port.tapped.bench.guest.write(frame) }
            #expect(atSensor.receive(frames.count) == frames)
            #expect(listener.receive() == nil, "a guest's datagram came to a program of the host's")
            let after = try HostView(port.name)
            #expect(after == configured)
            #expect(atOwn.receive(within: 50) == nil, "something was answered")
            // The test can fail: without its programs all of that is so.
            try settings("all", ["ipv4/conf/*/rp_filter": "0"])
            for place in PortGuard.of(.listening) { try TappedPort.remove(place, from: port.name, port.tapped) }
            for frame in frames { try port.tapped.bench.guest.write(frame) }
            #expect(listener.receive() != nil)
        }

        @Test("What is not a copy does not get into it, whatever it is sent by")
        func takesOnlyCopies() throws {
            let port = try TappedPort(.clsact)
            let sensor = try PacketSocket(on: port.name)
            try settings(port.own, ["ipv6/conf/*/disable_ipv6": "0", "ipv6/conf/*/addr_gen_mode": "0"])
            try ip(
                "link set \(port.own) down\nlink set \(port.own) arp on\nlink set \(port.own) up\naddr add 198.51.100.1/24 dev \(port.own)\n"
            )
            let listener = try UDPListener(port: 5_001, device: port.own)
            try listener.send(to: "198.51.100.7")
            try listener.send(to: "198.51.100.255")
            _ = try? run("busybox", "udhcpc", "-i", port.own, "-n", "-q", "-t", "1", "-T", "1", "-s", "/bin/true")
            _ = try? PacketSocket(on: port.own).send(HostileFrame.udp(to: FrameBuilder.peer, destination: [198, 51, 100, 7]))
            try port.tapped.attach(.outbound)
            let frame = FrameBuilder.udp(1)
            try port.tapped.bench.guest.write(frame)
            #expect(sensor.receive(1) == [frame])
        }

        @Test("A bridge, VLAN and macvlan devices on it get nothing", arguments: Mechanism.here)
        func feedsNoUppers(_ mechanism: Mechanism) throws {
            let port = try TappedPort(mechanism)
            let sensor = try PacketSocket(on: port.name)
            try port.tapped.attach(.outbound)
            let frame = FrameBuilder.udp(1)
            for upper in ["bridge", "macvlan"] {
                let name = "up\(port.tapped.bench.number)"
                if upper == "bridge" {
                    try ip("link add \(name) type bridge\nlink set \(port.name) master \(name)\nlink set \(name) up\n")
                } else {
                    try ip("link add link \(port.name) name \(name) type macvtap mode passthru\nlink set \(name) up\n")
                }
                let above = try PacketSocket(on: name)
                try port.tapped.bench.guest.write(frame)
                #expect(sensor.receive(1) == [frame], "\(upper)")
                #expect(above.receive(within: 50) == nil, "\(upper)")
                try ip("link del \(name)\n")
            }
            #expect(try port.keep().change == nil)
        }

        @Test("What an ifb gave back is no way past the programs", arguments: Mechanism.here)
        func closesTheWayByIfb(_ mechanism: Mechanism) throws {
            let port = try TappedPort(mechanism)
            let number = port.tapped.bench.number
            let guest = port.tapped.bench.guest
            defer {
                _ = try? port.tapped.dataplane.purge()
                _ = try? run("ip", "link", "del", "ifb\(number)")
            }
            try ip("link add ifb\(number) type ifb\nlink set ifb\(number) up\naddr add 198.51.100.1/24 dev \(port.name)\n")
            try settings(port.name, ["ipv4/conf/*/rp_filter": "0"])
            try port.tapped.attach(.inbound)
            if mechanism == .tcx { try run("tc", "qdisc", "add", "dev", guest.name, "clsact") }
            try run(
                "tc", "filter", "add", "dev", guest.name, "egress", "prio", "7", "protocol", "all", "u32", "match", "u32", "0", "0",
                "action",
                "mirred", "egress", "redirect", "dev", "ifb\(number)")
            let sensor = try PacketSocket(on: port.name)
            let listener = try UDPListener(port: 5_000, device: port.name)
            let frame = HostileFrame.udp(to: [UInt8](repeating: 0xFF, count: 6), destination: [198, 51, 100, 1])
            try port.tapped.bench.peer.send(frame)
            #expect(guest.read() == frame)
            #expect(sensor.receive(1) == [frame])
            #expect(listener.receive() == nil, "a copy went past the programs")
            // The same with the relay, because offloads have to be resolved in copies of what this host sends itself.
            try port.tapped.dataplane.replace(try port.tapped.desired(.inbound) { $0.resolvesOffloads = true }, at: TappedBench.now)
            let relay = RelayEnd.arrival.device
            try settings(relay, ["ipv4/conf/*/rp_filter": "0", "ipv4/conf/*/accept_local": "1"])
            try ip("addr add 198.51.100.65/24 broadcast + dev \(port.tapped.bench.bridge)\n")
            let host = try UDPListener(port: 5_003, device: relay)
            try UDPListener(port: 5_002, device: port.tapped.bench.bridge).send(to: "198.51.100.255", port: 5_003)
            #expect(guest.read()?.suffix(4) == Array("host".utf8)[...])
            #expect(sensor.receive(1).map { Array($0.suffix(4)) } == [Array("host".utf8)])
            #expect(host.receive() == nil, "a copy went past the program that finishes")
        }
    }
}
