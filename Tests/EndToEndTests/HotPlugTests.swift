// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
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
    }
}
