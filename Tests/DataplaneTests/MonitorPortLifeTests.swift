// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import DataplaneTestSupport
import Foundation
import Glibc
import TapModel
import Testing

@testable import Dataplane
extension KernelSuite {
    /// That they stay as they are made, whatever is done to them and whichever call fails.
    @Suite("Monitor ports that are kept up")
    struct MonitorPortLifeTests {
        // MARK: Those who touch it

        @Test("Programs that somebody removes, or goes in front of, are put back", arguments: Mechanism.here)
        func restoresGuards(_ mechanism: Mechanism) throws {
            let port = try TappedPort(mechanism)
            for place in PortGuard.of(.listening) + PortGuard.of(.sending) {
                let device = place.end == .sending ? port.own : port.name
                try TappedPort.remove(place, from: device, port.tapped)
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
            let port = try TappedPort(mechanism)
            let sensor = try PacketSocket(on: port.name)
            try port.tapped.attach(.outbound)
            let other = PacketMark(value: 0x4000, mask: 0xC000)
            func copy(_ number: Int, arrives: Bool) throws {
                let frame = FrameBuilder.udp(number)
                try port.tapped.bench.guest.write(frame)
                #expect(sensor.receive(within: arrives ? 1_000 : 50) == (arrives ? frame : nil))
            }
            try copy(1, arrives: true)
            let both = MonitorPort.Spec(name: port.name, marks: [other, TappedPort.mark], mechanism: mechanism)
            #expect(try port.tapped.dataplane.installPort(both).change == .updated)
            try copy(2, arrives: true)
            let next = MonitorPort.Spec(name: port.name, marks: [other], mechanism: mechanism)
            #expect(
                try port.tapped.dataplane.installPort(next)
                    == MonitorPort(ifindex: port.port.ifindex, listener: port.name, change: .updated))
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
            let port = try TappedPort(mechanism)
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
            // The kernel's link watch lets our end send, a moment after the other end is up.
            let state = "/sys/class/net/\(port.own)/operstate"
            for _ in 0..<1_000 where try String(contentsOfFile: state, encoding: .utf8) != "up\n" { usleep(10_000) }
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
            let port = try TappedPort(mechanism)
            let other = "mine\(port.tapped.bench.number)"
            try ip("link set \(port.own) down\nlink set \(port.own) name \(other)\n")
            // It was down: that alone is mended.
            #expect(try port.keep() == MonitorPort(ifindex: port.port.ifindex, listener: port.name))
            #expect(try port.tapped.dataplane.device(named: other)?.isUp == true)
            let listening = try #require(PortGuard.of(.listening).first)
            try TappedPort.remove(listening, from: port.name, port.tapped)
            #expect(try port.keep().change == .guarded(["\(port.name) ingress"]))
            #expect(try port.tapped.dataplane.removePorts(but: [port.name]) == [])
            #expect(try port.tapped.dataplane.removePorts(but: []) == [port.name])
            #expect(if_nametoindex(other) == 0 && if_nametoindex(port.name) == 0)
        }

        @Test("A name that the kernel counts up makes no device")
        func makesNothingOfTemplates() throws {
            let tapped = try TappedBench(.clsact)
            let before = try run("ip", "-br", "link")
            let spec = MonitorPort.Spec(name: "span\(tapped.bench.number)%d", marks: [TappedPort.mark], mechanism: .clsact)
            #expect(throws: Failure.self) { try tapped.dataplane.installPort(spec) }
            #expect(try run("ip", "-br", "link") == before)
            _ = try tapped.dataplane.purge()
        }

        @Test("Whichever look fails, what is known stands; what is seen to be unguarded and cannot be mended is refused")
        func standsWhenUnseen() throws {
            let port = try TappedPort(Mechanism.here[0])
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
            try TappedPort.remove(place, from: port.name, port.tapped)
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
            let spec = MonitorPort.Spec(name: name, marks: [TappedPort.mark], mechanism: .clsact)
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

        @Test("Those that are no longer desired are removed, also half-made ones, and the relay is none of them")
        func removesOthers() throws {
            let port = try TappedPort(.clsact)
            let number = port.tapped.bench.number
            try port.tapped.attach(.outbound) { $0.snaplen = .bytes(64) }
            let long = MonitorPort.Spec(name: "a-long-name\(number)", marks: [TappedPort.mark], mechanism: .clsact)
            _ = try port.tapped.dataplane.installPort(long)
            #expect(MonitorPort.device(of: long.name).utf8.count == 15)
            try ip("link add virttap-x type veth peer name x\(number)\nlink set virttap-x alias \"virt-tap unfinished\"\n")
            #expect(try Set(port.tapped.dataplane.removePorts(but: [port.name])) == [long.name, "virttap-x"])
            #expect(if_nametoindex(long.name) == 0 && if_nametoindex("x\(number)") == 0 && if_nametoindex(port.name) != 0)
            #expect(try port.tapped.dataplane.removePorts(but: []) == [port.name])
            #expect(if_nametoindex("virttap-cut") != 0)
        }

        /// As systemd-networkd does, which may be quicker than virt-tapd reads what it has created.
        @Test("One that somebody sets up at the moment at which it is created is virt-tap's all the same")
        func isOursThoughSetUp() throws {
            let tapped = try TappedBench(Mechanism.here[0])
            let spec = MonitorPort.Spec(name: "span\(tapped.bench.number)", marks: [TappedPort.mark], mechanism: tapped.mechanism)
            let own = MonitorPort.device(of: spec.name)
            var isSetUp = false
            tapped.dataplane.kernel.fault = { _ in
                if !isSetUp, if_nametoindex(own) != 0 { isSetUp = (try? run("ip", "link", "set", own, "up")) != nil }
                return nil
            }
            #expect(try tapped.dataplane.installPort(spec).change == .made)
            #expect(isSetUp)
        }

        @Test("Whichever call fails, none is half made, and one that is there is never called whole")
        func failsClosed() throws {
            let tapped = try TappedBench(Mechanism.here[0])
            let spec = MonitorPort.Spec(name: "span\(tapped.bench.number)", marks: [TappedPort.mark], mechanism: tapped.mechanism)
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
