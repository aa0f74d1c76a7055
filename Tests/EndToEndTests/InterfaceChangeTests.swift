// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd.RunningGuests {
    /// What can be done to an interface of a running guest without unplugging it, and what a name means after an unplug.
    @Suite struct InterfaceChangeTests {
        let host: TappedHost = .current
        var web1: Guest { host.web1 }

        init() async throws { try await host.withoutTaps() }

        /// libvirt tells nobody of this.
        @Test func anInterfaceThatMovesToAnotherBridgeIsCopiedOn() async throws {
            try await host.lab.succeed("ip", "link", "add", "br1", "up", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
            let copies = try await Sensor(host.lab, at: "ids1")
            let here = try await Sensor(host.lab, at: "br0")
            let there = try await Sensor(host.lab, at: "br1")
            try await web1.setMetadata(
                "<taps><tap name='all' to='ids'/><tap name='br0' to='late'><interface bridge='br0'/></tap>"
                    + "<tap name='br1' to='span'><interface bridge='br1'/></tap></taps>")
            let before = try await host.wait(for: "web1", tap: "all")
            try await host.wait(for: "web1", tap: "br0", .failed, .destinationDown)
            try await host.wait(for: "web1", tap: "br1", .failed, .noMatchingInterface)
            let span = try await Sensor(host.lab, at: "span1")
            let flow = try await Flow.start(web1, to: "192.0.2.255")
            try await flow.moves(at: here)

            try await change("bridge='br0'", to: "bridge='br1'")
            try await flow.moves(at: there)
            try await host.wait(for: "web1", tap: "br1")
            try await host.wait(for: "web1", tap: "br0", .failed, .noMatchingInterface)
            try await flow.moves(at: span)
            try await flow.moves(at: copies)
            try await change("bridge='br1'", to: "bridge='br0'")
            try await host.wait(for: "web1", tap: "br1", .failed, .noMatchingInterface)
            try await host.wait(for: "web1", tap: "br0", .failed, .destinationDown)
            try await flow.moves(at: copies)
            let end = try span.frames().count
            try await flow.moves(at: copies)
            #expect(try span.frames().count == end)
            try await flow.stop()

            let after = try await host.wait(for: "web1", tap: "all")
            #expect(after.interfaces.first?.ifindex == before.interfaces.first?.ifindex)
            #expect(after.interfaces.first?.since == before.interfaces.first?.since)
            let numbers = try flow.numbers(in: copies)
            #expect(try numbers == Array(#require(numbers.first)...#require(numbers.last)))
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1", tap: "all")
            try await host.waitForEnd(of: "web1", tap: "br0")
            for sensor in [copies, here, there, span] { #expect(try await sensor.stop() == 0) }
            try await host.lab.succeed("ip", "link", "delete", "br1")
        }

        @Test func aLinkGoesDownAndUp() async throws {
            let copies = try await Sensor(host.lab, at: "ids1")
            let original = try await Sensor(host.lab, at: "tap-web1")
            try await web1.setMetadata("<tap to='ids' direction='outbound'/>")
            let before = try await host.wait(for: "web1")
            let pins = try await host.pins(of: web1)
            let flow = try await Flow.start(web1, to: "192.0.2.255")
            try await flow.moves(at: copies)
            try await host.lab.virsh("domif-setlink", "web1", "tap-web1", "down")
            try await eventually("the guest has no carrier") { try await web1.succeed("cat /sys/class/net/eth0/carrier") == "0" }
            let silent = try flow.numbers(in: original).count
            let down = try await host.wait(for: "web1")
            #expect(down.interfaces.first?.since == before.interfaces.first?.since)
            #expect(try flow.numbers(in: original).count == silent)
            try await host.lab.virsh("domif-setlink", "web1", "tap-web1", "up")
            try await flow.moves(at: copies)
            try await flow.stop()
            try await eventually("what crossed the device is copied") { try flow.frames(in: copies) == flow.frames(in: original) }
            #expect(try await host.pins(of: web1) == pins)
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1")
            for sensor in [copies, original] { #expect(try await sensor.stop() == 0) }
        }

        /// An alias goes by position: who selects by it gets the next interface that is called so, who selects by MAC does not.
        @Test func anAliasIsUsedAgain() async throws {
            func interface(_ mac: String) -> String {
                "<interface type='bridge'><mac address='\(mac)'/><source bridge='br0'/><model type='virtio'/></interface>"
            }
            let (old, new) = (interface("52:54:00:aa:bb:11"), interface("52:54:00:aa:bb:12"))
            try await web1.setMetadata(
                "<taps><tap name='place' to='ids'><interface alias='net1'/></tap>"
                    + "<tap name='card' to='span'><interface mac='52:54:00:aa:bb:11'/></tap></taps>")
            try await host.wait(for: "web1", tap: "card", .failed, .noMatchingInterface)
            try await web1.plug(old)
            try await host.wait(for: "web1", tap: "card")
            let first = try await host.wait(for: "web1", tap: "place")
            try await web1.unplug(old)
            try await host.wait(for: "web1", tap: "place", .failed, .noMatchingInterface)
            try await web1.plug(new)
            let second = try await host.wait(for: "web1", tap: "place")
            #expect(first.interfaces.map(\.alias) == ["net1"] && second.interfaces.map(\.alias) == ["net1"])
            #expect(second.interfaces.map(\.mac?.description) == ["52:54:00:aa:bb:12"])
            #expect(second.interfaces.first?.ifindex != first.interfaces.first?.ifindex)
            let card = try await host.wait(for: "web1", tap: "card", .failed, .noMatchingInterface)
            #expect(card.message?.contains("net1 52:54:00:aa:bb:12") == true)
            #expect(try await host.attachments(of: web1) == 1)
            // The address in the guest is that of eth1, whatever card that is.
            try await eventually("the guest configured its new interface") {
                try await web1.succeed("ip address show").contains("198.51.100.11/24")
            }
            let place = try await Sensor(host.lab, at: "ids1")
            let span = try await Sensor(host.lab, at: "span1")
            try await Flow.send(50, from: web1, to: "198.51.100.255", device: "eth1").isComplete(at: place, 50)
            #expect(try span.frames().isEmpty)
            try await web1.unplug(new)
            try await host.wait(for: "web1", tap: "place", .failed, .noMatchingInterface)
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1", tap: "place")
            for sensor in [place, span] { #expect(try await sensor.stop() == 0) }
        }

        /// As `virsh update-device` with the first interface's own XML, in which this was changed.
        private func change(_ old: String, to new: String) async throws {
            let xml = try await host.lab.virsh("dumpxml", "web1")
            let start = try #require(xml.range(of: "<interface"))
            let end = try #require(xml.range(of: "</interface>"))
            let interface = xml[start.lowerBound..<end.upperBound].replacingOccurrences(of: old, with: new)
            let result = try await host.lab.run(
                ["virsh", "-q", "update-device", "--live", "web1", "/dev/stdin"], input: Data(interface.utf8))
            guard result.status == 0 else { throw CommandFailure(result: result, timeout: nil) }
        }
    }
}
