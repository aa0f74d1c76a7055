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
        private static let mark = PacketMark()

        /// A tapped guest whose copies go into a monitor port.
        private struct Port {
            let tapped: TappedBench
            let spec: MonitorPort.Spec
            let port: MonitorPort
            var name: String { spec.name }
            var own: String { MonitorPort.device(of: name) }

            init(_ mechanism: Mechanism, withHeader: Bool = false, marks: [PacketMark] = [MonitorPortTests.mark]) throws {
                tapped = try TappedBench(mechanism, withHeader: withHeader)
                spec = MonitorPort.Spec(name: "span\(tapped.bench.number)", marks: marks, mechanism: mechanism)
                port = try tapped.dataplane.installPort(spec)
                try tapped.dataplane.setDestination("ids", kind: .monitor, ifindex: port.ifindex)
            }

            func keep() throws -> MonitorPort { try tapped.dataplane.installPort(spec) }
        }

        private func settings(_ device: String, _ values: [String: String]) throws {
            for (name, value) in values {
                try value.write(toFile: "/proc/sys/net/\(name.replacing("*", with: device))", atomically: false, encoding: .utf8)
            }
        }

        // MARK: What sensors get

        @Test("A sensor gets every copy whole and as having come in, with tags and GSO packets", arguments: Mechanism.here)
        func givesCopies(_ mechanism: Mechanism) throws {
            let port = try Port(mechanism, withHeader: true)
            defer { _ = try? port.tapped.dataplane.purge() }
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
            let port = try Port(mechanism, withHeader: true)
            defer { _ = try? port.tapped.dataplane.purge() }
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
            let port = try Port(mechanism)
            defer { _ = try? port.tapped.dataplane.purge() }
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
            for place in PortGuard.of(.listening) { try Self.remove(place, from: port.name, port.tapped) }
            for frame in frames { try port.tapped.bench.guest.write(frame) }
            #expect(listener.receive() != nil)
        }

        /// Takes a program away as somebody might who does not know what it is.
        private static func remove(_ place: PortGuard, from device: String, _ tapped: TappedBench) throws {
            let index = if_nametoindex(device)
            let point = HookPoint(ifindex: index, isEgress: place.isEgress)
            switch tapped.mechanism {
            case .tcx:
                let layout = "\(tapped.bench.bpffs)/virt-tap/1"
                for name in try FileManager.default.contentsOfDirectory(atPath: layout) where name.hasPrefix("port-") {
                    let link = bpf_obj_get("\(layout)/\(name)")
                    defer { close(link) }
                    var info = clibbpf_link()
                    guard clibbpf_kind_of(link) == CLIBBPF_LINK, clibbpf_link_info(link, &info) == 0, info.ifindex == index,
                        info.attach_type == point.tcxType.rawValue
                    else { continue }
                    #expect(bpf_link_detach(link) == 0)
                }
            case .clsact:
                try run("tc", "filter", "del", "dev", device, place.isEgress ? "egress" : "ingress")
            }
        }

        @Test("What is not a copy does not get into it, whatever it is sent by")
        func takesOnlyCopies() throws {
            let port = try Port(.clsact)
            defer { _ = try? port.tapped.dataplane.purge() }
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
            let port = try Port(mechanism)
            defer { _ = try? port.tapped.dataplane.purge() }
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
            let port = try Port(mechanism)
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
            // The same of the pair on which copies are finished, as those have to be that this host sends itself.
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

        // MARK: Those who touch it

        @Test("Programs that somebody removes, or goes in front of, are put back", arguments: Mechanism.here)
        func restoresGuards(_ mechanism: Mechanism) throws {
            let port = try Port(mechanism)
            defer { _ = try? port.tapped.dataplane.purge() }
            for place in PortGuard.of(.listening) + PortGuard.of(.sending) {
                let device = place.end == .sending ? port.own : port.name
                try Self.remove(place, from: device, port.tapped)
                #expect(try port.keep().change == .guarded(["\(device) \(place.isEgress ? "egress" : "ingress")"]))
                #expect(try port.keep().change == nil)
            }
            if mechanism == .tcx {
                let foreign = try ForeignProgram(answer: .accept)
                try foreign.attach(to: if_nametoindex(port.name), egress: false, first: true)
                #expect(try port.keep().change == .guarded(["\(port.name) ingress"]))
                #expect(try port.keep().change == nil)
            }
            let sensor = try PacketSocket(on: port.name)
            try port.tapped.attach(.outbound)
            let frame = FrameBuilder.udp(1)
            try port.tapped.bench.guest.write(frame)
            #expect(sensor.receive(1) == [frame])
        }

        @Test("Another mark, another version: brought up to date in place, with no copy lost", arguments: Mechanism.here)
        func followsTheMark(_ mechanism: Mechanism) throws {
            let port = try Port(mechanism)
            defer { _ = try? port.tapped.dataplane.purge() }
            let sensor = try PacketSocket(on: port.name)
            try port.tapped.attach(.outbound)
            let other = PacketMark(value: 0x4000, mask: 0xC000)
            func copy(_ number: Int, arrives: Bool) throws {
                let frame = FrameBuilder.udp(number)
                try port.tapped.bench.guest.write(frame)
                #expect(sensor.receive(within: arrives ? 1_000 : 50) == (arrives ? frame : nil))
            }
            try copy(1, arrives: true)
            let both = MonitorPort.Spec(name: port.name, marks: [other, Self.mark], mechanism: mechanism)
            #expect(try port.tapped.dataplane.installPort(both).change == .updated)
            try copy(2, arrives: true)
            let next = MonitorPort.Spec(name: port.name, marks: [other], mechanism: mechanism)
            #expect(
                try port.tapped.dataplane.installPort(next) == MonitorPort(ifindex: port.port.ifindex, listener: port.name, change: .updated))
            try copy(3, arrives: false)
            let desired = try port.tapped.desired(.outbound) { $0.mark = other }
            try port.tapped.dataplane.replace(desired, at: TappedBench.now)
            try copy(4, arrives: true)
            // The other way of attaching leaves nothing of the former.
            guard Mechanism.here.count == 2 else { return }
            let otherMechanism = MonitorPort.Spec(name: port.name, marks: [other], mechanism: mechanism == .tcx ? .clsact : .tcx)
            #expect(try port.tapped.dataplane.installPort(otherMechanism).change == .updated)
            try copy(5, arrives: true)
            #expect(try port.tapped.dataplane.installPort(otherMechanism).change == nil)
        }

        @Test("Deleted, renamed, set down, moved to another network namespace: followed, and never made twice", arguments: Mechanism.here)
        func followsTheDevice(_ mechanism: Mechanism) throws {
            let port = try Port(mechanism)
            defer { _ = try? port.tapped.dataplane.purge() }
            try port.tapped.attach(.outbound)
            // Renamed.
            try ip("link set \(port.name) down\nlink set \(port.name) name other\(port.tapped.bench.number)\n")
            #expect(try port.keep() == MonitorPort(ifindex: port.port.ifindex, listener: "other\(port.tapped.bench.number)"))
            // Whoever sets it down means it; ours is nobody's business.
            #expect(try port.tapped.dataplane.device(named: "other\(port.tapped.bench.number)")?.isUp == false)
            try ip("link set other\(port.tapped.bench.number) name \(port.name)\nlink set \(port.name) up\nlink set \(port.own) down\n")
            _ = try port.keep()
            #expect(try port.tapped.dataplane.device(named: port.own)?.isUp == true)
            // Moved.
            let namespace = NetworkNamespace("sensor\(port.tapped.bench.number)")
            try run("ip", "netns", "add", namespace.name)
            defer { namespace.remove() }
            try ip("link set \(port.name) netns \(namespace.name)\n")
            #expect(try port.keep() == MonitorPort(ifindex: port.port.ifindex, listener: nil))
            try run("ip", "-n", namespace.name, "link", "set", port.name, "up")
            let sensor = try namespace.run { try PacketSocket(on: port.name) }
            let frame = FrameBuilder.udp(1)
            try port.tapped.bench.guest.write(frame)
            #expect(sensor.receive(1) == [frame])
            // TCX goes along with the device, qdiscs do not.
            try run("ip", "-n", namespace.name, "addr", "add", "198.51.100.1/24", "dev", port.name)
            let listener = try namespace.run { try UDPListener(port: 5_000, device: port.name) }
            try port.tapped.bench.guest.write(HostileFrame.udp(to: [UInt8](repeating: 0xFF, count: 6), destination: [255, 255, 255, 255]))
            #expect(sensor.receive(1).count == 1)
            #expect((listener.receive() == nil) == (mechanism == .tcx))
            #expect(try port.keep() == MonitorPort(ifindex: port.port.ifindex, listener: nil))
            // Deleted, in the namespace here.
            try run("ip", "-n", namespace.name, "link", "del", port.name)
            let again = try port.keep()
            #expect(again.change == .made && again.listener == port.name && again.ifindex != port.port.ifindex)
            // What was pinned for the one before is gone with the next look at all.
            #expect(try port.tapped.dataplane.removePorts(but: [port.name]) == [])
            let layout = try FileManager.default.contentsOfDirectory(atPath: "\(port.tapped.bench.bpffs)/virt-tap/1")
            let prefix = "port-\(String(again.ifindex, radix: 16))-"
            #expect(layout.filter { $0.hasPrefix("port-") }.allSatisfy { $0.hasPrefix(prefix) })
        }

        // MARK: Names and ends

        @Test("One of which our end is called otherwise is found, guarded and removed", arguments: Mechanism.here)
        func followsOurEnd(_ mechanism: Mechanism) throws {
            let port = try Port(mechanism)
            defer { _ = try? port.tapped.dataplane.purge() }
            let other = "mine\(port.tapped.bench.number)"
            try ip("link set \(port.own) down\nlink set \(port.own) name \(other)\n")
            // It was down: that alone is mended.
            #expect(try port.keep() == MonitorPort(ifindex: port.port.ifindex, listener: port.name))
            #expect(try port.tapped.dataplane.device(named: other)?.isUp == true)
            let listening = try #require(PortGuard.of(.listening).first)
            try Self.remove(listening, from: port.name, port.tapped)
            #expect(try port.keep().change == .guarded(["\(port.name) ingress"]))
            #expect(try port.tapped.dataplane.removePorts(but: [port.name]) == [])
            #expect(try port.tapped.dataplane.removePorts(but: []) == [port.name])
            #expect(if_nametoindex(other) == 0 && if_nametoindex(port.name) == 0)
        }

        @Test("A name that the kernel counts up makes no device")
        func makesNothingOfTemplates() throws {
            let tapped = try TappedBench(.clsact)
            let before = try run("ip", "-br", "link")
            let spec = MonitorPort.Spec(name: "span\(tapped.bench.number)%d", marks: [Self.mark], mechanism: .clsact)
            #expect(throws: Failure.self) { try tapped.dataplane.installPort(spec) }
            #expect(try run("ip", "-br", "link") == before)
            _ = try tapped.dataplane.purge()
        }

        @Test("Whichever look fails, what is known stands; what is seen to be unguarded and cannot be mended is refused")
        func standsWhenUnseen() throws {
            let port = try Port(Mechanism.here[0])
            defer { _ = try? port.tapped.dataplane.purge() }
            let fault = FaultTests.Fault()
            fault.install(port.tapped.dataplane)
            var failing = 0
            while true {
                (fault.count, fault.failing) = (0, failing)
                let kept = try port.tapped.dataplane.installPort(port.spec, known: port.port)
                #expect(kept.ifindex == port.port.ifindex && kept.listener == port.name)
                if kept.unseen == nil { break }
                failing += 1
            }
            #expect(failing > 5)
            fault.failing = nil
            let place = try #require(PortGuard.of(.listening).first)
            try Self.remove(place, from: port.name, port.tapped)
            // That is found by as many calls as before; the first of those that mend it fails.
            (fault.count, fault.failing) = (0, failing)
            #expect(throws: Failure.self) { try port.tapped.dataplane.installPort(port.spec, known: port.port) }
            fault.failing = nil
            #expect(try port.tapped.dataplane.installPort(port.spec, known: port.port).change != nil)
        }

        @Test("A device that is not virt-tap's is left as it is, whichever of the two names it has")
        func leavesOthersAlone() throws {
            let tapped = try TappedBench(.clsact)
            let name = "span\(tapped.bench.number)"
            let spec = MonitorPort.Spec(name: name, marks: [Self.mark], mechanism: .clsact)
            for device in [name, MonitorPort.device(of: name)] {
                try ip("link add \(device) type bridge\n")
                let before = try run("ip", "-d", "link", "show", device)
                #expect { try tapped.dataplane.installPort(spec) } throws: { error in
                    (error as? Failure)?.reason == .destinationUnsafe && (error as? Failure)?.message.contains(device) == true
                }
                #expect(try run("ip", "-d", "link", "show", device) == before)
                _ = try tapped.dataplane.purge()
                #expect(try run("ip", "-d", "link", "show", device) == before)
                try ip("link del \(device)\n")
            }
            try ip("link add dev\(tapped.bench.number) type bridge\nlink property add dev dev\(tapped.bench.number) altname \(name)\n")
            #expect(throws: Failure.self) { try tapped.dataplane.installPort(spec) }
            try ip("link del dev\(tapped.bench.number)\n")
            #expect(try tapped.dataplane.installPort(spec).change == .made)
            _ = try tapped.dataplane.purge()
            #expect(if_nametoindex(name) == 0 && if_nametoindex(MonitorPort.device(of: name)) == 0)
        }

        @Test("Ports that are not desired any more are removed, incomplete ones included, and the relay stays")
        func removesOthers() throws {
            let port = try Port(.clsact)
            defer { _ = try? port.tapped.dataplane.purge() }
            let number = port.tapped.bench.number
            try port.tapped.attach(.outbound) { $0.snaplen = .bytes(64) }
            let long = MonitorPort.Spec(name: "a-long-name\(number)", marks: [Self.mark], mechanism: .clsact)
            _ = try port.tapped.dataplane.installPort(long)
            #expect(MonitorPort.device(of: long.name).utf8.count == 15)
            try ip("link add virttap-x type veth peer name x\(number)\nlink set virttap-x alias \"virt-tap unfinished\"\n")
            #expect(try Set(port.tapped.dataplane.removePorts(but: [port.name])) == [long.name, "virttap-x"])
            #expect(if_nametoindex(long.name) == 0 && if_nametoindex("x\(number)") == 0 && if_nametoindex(port.name) != 0)
            #expect(try port.tapped.dataplane.removePorts(but: []) == [port.name])
            #expect(if_nametoindex("virttap-cut") != 0)
        }

        @Test("Whichever call fails, none is half made, and one that is there is never called whole")
        func failsClosed() throws {
            let tapped = try TappedBench(Mechanism.here[0])
            let spec = MonitorPort.Spec(name: "span\(tapped.bench.number)", marks: [Self.mark], mechanism: tapped.mechanism)
            let layout = "\(tapped.bench.bpffs)/virt-tap/1"
            let before = try FileManager.default.contentsOfDirectory(atPath: layout).sorted()
            let fault = FaultTests.Fault()
            fault.install(tapped.dataplane)
            var failing = 0
            while true {
                (fault.count, fault.failing) = (0, failing)
                do {
                    #expect(try tapped.dataplane.installPort(spec).change == .made)
                    break
                } catch {
                    #expect(error.reason == .attachFailed)
                }
                fault.failing = nil
                #expect(if_nametoindex(spec.name) == 0, "call \(failing)")
                #expect(try FileManager.default.contentsOfDirectory(atPath: layout).sorted() == before, "call \(failing)")
                failing += KernelSuite.stride
            }
            #expect(failing > 10)
            fault.failing = nil
            _ = try tapped.dataplane.purge()
        }
    }
}

/// What a host has learned by one device, and in general.
private struct HostView: Equatable {
    let routes, routes6, neighbours, addresses: String

    /// Whether its link-local address is there and nobody is asked any more who else has it.
    var isSettled: Bool { routes6.contains("local fe80::") && !addresses.contains("tentative") }

    init(_ device: String) throws {
        // Devices of other tests may be on their way out.
        func own(_ routes: String) -> String {
            routes.split(separator: "\n").filter { $0.contains(" dev \(device) ") || $0.contains("default") }.joined(separator: "\n")
        }
        routes = own(try run("ip", "-4", "route", "show", "table", "all"))
        routes6 = own(try run("ip", "-6", "route", "show", "table", "all"))
        // States pass by themselves; entries that nobody asked for do not come.
        neighbours = try run("ip", "neigh", "show", "dev", device).split(separator: "\n").filter { $0.contains("lladdr") }.joined()
        addresses = try run("ip", "-o", "addr", "show", "dev", device)
    }
}

/// A program of the host's on all addresses, for what comes in by one device.
private final class UDPListener {
    private let descriptor: CInt

    init(port: UInt16, device: String) throws {
        descriptor = socket(AF_INET, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var one: CInt = 1
        guard setsockopt(descriptor, SOL_SOCKET, SO_BINDTODEVICE, device, socklen_t(device.utf8.count)) == 0 else {
            throw CallFailure("SO_BINDTODEVICE")
        }
        setsockopt(descriptor, SOL_SOCKET, SO_BROADCAST, &one, 4)
        try with("0.0.0.0", port) { guard bind(descriptor, $0, 16) == 0 else { throw CallFailure("bind") } }
    }

    deinit { close(descriptor) }

    private func with(_ address: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>) throws -> Void) throws {
        var name = sockaddr_in()
        name.sin_family = UInt16(AF_INET)
        name.sin_port = port.bigEndian
        inet_pton(AF_INET, address, &name.sin_addr)
        try withUnsafePointer(to: &name) { try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { try body($0) } }
    }

    func send(to address: String, port: UInt16 = 9) throws {
        try with(address, port) { _ = sendto(descriptor, "host", 4, CInt(MSG_DONTWAIT), $0, 16) }
    }

    /// What comes within a twentieth of a second.
    func receive() -> [UInt8]? {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, 50) > 0 else { return nil }
        var buffer = [UInt8](repeating: 0, count: 2_048)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return count < 0 ? nil : Array(buffer.prefix(count))
    }
}

/// What a guest may send to change a host that listens, or to be answered.
private enum HostileFrame {
    private static let guest = FrameBuilder.guest
    private static let all = [UInt8](repeating: 0xFF, count: 6)

    static func all(for mac: [UInt8]) -> [[UInt8]] {
        [
            udp(to: mac, destination: [198, 51, 100, 1]), udp(to: all, destination: [255, 255, 255, 255]),
            udp(to: all, destination: [198, 51, 100, 255]), udp(to: all, destination: [198, 51, 100, 1]),
            udp(to: [0x01, 0x00, 0x5E, 0, 0, 0xFB], destination: [224, 0, 0, 251], port: 5_353), arp(1, for: [198, 51, 100, 1], to: all),
            arp(2, for: [198, 51, 100, 1], to: mac), echo(to: mac), routerAdvertisement, neighbourSolicitation(for: mac),
        ]
    }

    private static func big(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }

    private static func ipv4(_ number: UInt8, _ destination: [UInt8], _ body: [UInt8]) -> [UInt8] {
        var header: [UInt8] = [0x45, 0] + big(20 + body.count) + [0, 1, 0, 0, 64, number, 0, 0, 198, 51, 100, 66] + destination
        header.replaceSubrange(10..<12, with: FrameBuilder.checksum(header))
        return header + body
    }

    static func udp(to mac: [UInt8], destination: [UInt8], port: Int = 5_000) -> [UInt8] {
        mac + guest + [8, 0] + ipv4(17, destination, big(4_000) + big(port) + big(26) + [0, 0] + [UInt8](repeating: 7, count: 18))
    }

    private static func echo(to mac: [UInt8]) -> [UInt8] {
        var icmp: [UInt8] = [8, 0, 0, 0, 0, 1, 0, 1] + [UInt8](repeating: 1, count: 16)
        icmp.replaceSubrange(2..<4, with: FrameBuilder.checksum(icmp))
        return mac + guest + [8, 0] + ipv4(1, [198, 51, 100, 1], icmp)
    }

    private static func arp(_ operation: UInt8, for address: [UInt8], to mac: [UInt8]) -> [UInt8] {
        mac + guest + [8, 6, 0, 1, 8, 0, 6, 4, 0, operation] + guest + [198, 51, 100, 66] + [UInt8](repeating: 0, count: 6) + address
    }

    private static func icmp6(_ mac: [UInt8], _ destination: [UInt8], _ message: [UInt8]) -> [UInt8] {
        let source: [UInt8] = [0xFE, 0x80] + [UInt8](repeating: 0, count: 12) + [0, 0x66]
        var message = message
        let sum = source + destination + [0, 0] + big(message.count) + [0, 0, 0, 58]
        message.replaceSubrange(2..<4, with: FrameBuilder.checksum(sum + message))
        return mac + guest + [0x86, 0xDD] + [0x60, 0, 0, 0] + big(message.count) + [58, 255] + source + destination + message
    }

    private static var routerAdvertisement: [UInt8] {
        let prefix: [UInt8] =
            [3, 4, 64, 0xC0, 0, 0, 255, 255, 0, 0, 255, 255, 0, 0, 0, 0, 0xFD, 0, 0, 0x66] + [UInt8](repeating: 0, count: 12)
        return icmp6(
            [0x33, 0x33, 0, 0, 0, 1], [0xFF, 2] + [UInt8](repeating: 0, count: 13) + [1],
            [134, 0, 0, 0, 64, 0, 255, 255] + [UInt8](repeating: 0, count: 8) + [1, 1] + guest + prefix)
    }

    private static func neighbourSolicitation(for mac: [UInt8]) -> [UInt8] {
        let address: [UInt8] = [0xFD, 0, 0, 0x51] + [UInt8](repeating: 0, count: 11) + [1]
        return icmp6(mac, address, [135, 0, 0, 0, 0, 0, 0, 0] + address + [1, 1] + guest)
    }
}
