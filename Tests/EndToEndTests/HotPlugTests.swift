// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd.RunningGuests {
    /// Interfaces come and go, and the tap with them.
    @Suite struct HotPlugTests {
        let host: TappedHost = .current
        var web1: Guest { host.web1 }
        static let mac = "52:54:00:aa:bb:01"
        static let plugged = "<interface type='bridge'><mac address='\(mac)'/><source bridge='br0'/><model type='virtio'/></interface>"

        init() async throws { try await host.withoutTaps() }

        @Test func anInterfaceThatIsPluggedInIsTapped() async throws {
            let copies = try await Sensor(host.lab, at: "ids1")
            try await web1.setMetadata(
                "<taps><tap name='all' to='ids'/><tap name='new' to='span'><interface mac='\(Self.mac)'/></tap></taps>")
            try await host.wait(for: "web1", tap: "all")
            try await host.wait(for: "web1", tap: "new", .failed, .noMatchingInterface)
            let before = try await host.pins(of: web1)
            let flow = try await Flow.start(web1, to: EndToEnd.RunningGuests.address2)
            try await flow.moves(at: copies)

            try await web1.plug(Self.plugged)
            let tap = try await host.wait(for: "web1", tap: "all", "has two interfaces") { $0.interfaces.count == 2 && $0.state == .active }
            try await host.wait(for: "web1", tap: "new")
            #expect(tap.interfaces.last?.mac?.description == Self.mac)
            try await eventually("the guest configured its new interface") {
                try await web1.succeed("ip address show").contains("198.51.100.11/24")
            }
            let span = try await Sensor(host.lab, at: "span1")
            let extra = try await Flow.send(100, from: web1, to: "198.51.100.255", device: "eth1")
            try await extra.isComplete(at: span, 100)
            // What the new interface sends to everybody comes in at the other one.
            try await eventually("both interfaces copy") {
                try extra.numbers(in: copies).sorted() == (1...100).flatMap { [$0, $0] }
            }
            let device = try #require(tap.interfaces.last?.device)

            try await web1.unplug(Self.plugged)
            try await host.wait(for: "web1", tap: "new", .failed, .noMatchingInterface)
            let after = try await host.wait(for: "web1", tap: "all", "has one interface") {
                $0.interfaces.count == 1 && $0.state == .active
            }
            #expect(after.interfaces.first?.device != device)
            try await flow.moves(at: copies)
            try await flow.stop()
            // The other interface's attachment was not touched, and of this one's nothing is left.
            try await eventually("dead pins are collected") { try await host.pins(of: web1) == before }
            let numbers = try flow.numbers(in: copies)
            #expect(try numbers == Array(#require(numbers.first)...#require(numbers.last)))
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1", tap: "all")
            #expect(try await copies.stop() == 0)
            #expect(try await span.stop() == 0)
        }

        /// On a macvtap the host's hooks see the guest the other way round; the copies must not.
        @Test func aMacvtapIsTappedTheRightWayRound() async throws {
            try await host.lab.succeed("ip", "link", "add", "wire0", "up", "type", "veth", "peer", "name", "wire1")
            try await host.lab.succeed("ip", "link", "set", "wire1", "up")
            let plugged = """
                <interface type='direct'><mac address='\(Self.mac)'/><source dev='wire0' mode='bridge'/><model type='virtio'/></interface>
                """
            try await web1.setMetadata(
                "<taps><tap name='sent' to='ids' direction='outbound'><interface mac='\(Self.mac)'/></tap>"
                    + "<tap name='received' to='span' direction='inbound'><interface mac='\(Self.mac)'/></tap></taps>")
            try await web1.plug(plugged)
            let tap = try await host.wait(for: "web1", tap: "sent")
            try await host.wait(for: "web1", tap: "received")
            #expect(tap.interfaces.first?.device?.hasPrefix("macvtap") == true)
            try await eventually("the guest configured its new interface") {
                try await web1.succeed("ip address show").contains("198.51.100.11/24")
            }
            let sent = try await Sensor(host.lab, at: "ids1")
            let received = try await Sensor(host.lab, at: "span1")
            let wire = try await Sensor(host.lab, at: "wire1")
            let flow = try await Flow.send(50, from: web1, to: "198.51.100.255", device: "eth1")
            try await flow.isComplete(at: wire, 50)
            try await flow.isComplete(at: sent, 50)
            #expect(try flow.frames(in: sent) == flow.frames(in: wire))
            // Somebody on the wire asks everybody who has the guest's address.
            try await host.lab.succeed("ip", "address", "add", "198.51.100.1/24", "dev", "wire1")
            #expect(try await host.lab.run("busybox", "ping", "-c", "5", "-i", "0.1", "198.51.100.11").status == 0)
            try await received.wait(for: 5) { $0.isICMP && $0.bytes[34] == 8 }
            try await sent.wait(for: 5) { $0.isICMP && $0.bytes[34] == 0 }
            #expect(try flow.numbers(in: received).isEmpty)
            #expect(try received.frames().count { $0.isICMP && $0.bytes[34] == 0 } == 0)
            #expect(try sent.frames().count { $0.isICMP && $0.bytes[34] == 8 } == 0)
            try await web1.unplug(plugged)
            try await host.wait(for: "web1", tap: "sent", .failed, .noMatchingInterface)
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1", tap: "sent")
            try await host.waitForEnd(of: "web1", tap: "received")
            try await host.lab.succeed("ip", "link", "delete", "wire0")
            for sensor in [sent, received] { #expect(try await sensor.stop() == 0) }
        }
    }
}
