// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd.RunningGuests {
    /// The host's `<limit>`: too many copies end, those of the heaviest destination, and no packet of a guest with them.
    @Suite struct LimitTests {
        let host: TappedHost = .current
        var web1: Guest { host.web1 }
        var web2: Guest { host.web2 }

        init() async throws { try await host.withoutTaps() }

        private func destination(_ name: String) async throws -> DestinationStatus {
            try #require(try await host.status().destinations.first { $0.name == name })
        }

        @Test func theHeaviestStopsAndGoesOnWhenItFitsAgain() async throws {
            let limited = TappedHost.configuration.replacingOccurrences(of: "</virt-tap>", with: "<limit rate='200kbit'/></virt-tap>")
            try await host.reload(limited)
            try await host.virtTapSucceeds("set", "web1", "--to", "ids")
            try await host.virtTapSucceeds("set", "web2", "--to", "span", "--direction", "outbound")
            try await host.wait(for: "web1")
            try await host.wait(for: "web2", tap: "span")
            let pins = try await host.pins(of: web1)
            let unseen = try await host.unseen(of: web1)
            let original = try await Sensor(host.lab, at: "tap-web1")
            let copies = try await Sensor(host.lab, at: "ids1")
            let light = try await Sensor(host.lab, at: "span1")
            let small = try await Flow.start(web2, to: EndToEnd.RunningGuests.address1, interval: 100, size: 100)
            let large = try await Flow.start(web1, to: EndToEnd.RunningGuests.address2, interval: 10, size: 1_000)

            let tap = try await host.wait(for: "web1", .failed, .destinationOverloaded)
            #expect(tap.message?.contains("over its <limit> of 200kbit") == true, "\(tap.message ?? "")")
            #expect(try await destination("ids").reason == .destinationOverloaded)
            let table = try await host.virtTap("status", "--check", "web1")
            #expect(table.status == 2 && table.text.contains("destination-overloaded"), "\(table.text)")
            // The other one goes on, and so does the guest.
            try await small.moves(at: light, by: 10)
            try await large.moves(at: original, by: 100)
            #expect(try await destination("span").state == .active)
            let refused = try await host.packets(of: web1, "outbound")
            #expect(try #require(refused["errors"]) > 0)

            try await large.stop()
            let gentle = try await Flow.start(web1, to: EndToEnd.RunningGuests.address2, port: 40005, interval: 100, size: 100)
            try await host.wait(for: "web1", within: .seconds(60))
            try await gentle.moves(at: copies, by: 10)
            for flow in [small, gentle] { try await flow.stop() }

            // Of the guest nothing is missing, and what was not copied was counted.
            let sent = try large.numbers(in: original)
            #expect(sent == Array(1...sent.count))
            let copied = [try await host.packets(of: web1, "outbound"), try await host.packets(of: web1, "inbound")].compactMap {
                $0["copied"]
            }
            try await eventually("all copies arrive") { try copies.frames().count == copied.reduce(0, +) }
            #expect(try await host.unseen(of: web1) == unseen)
            #expect(try await host.pins(of: web1) == pins)
            for sensor in [original, copies, light] { #expect(try await sensor.stop() == 0) }
            for (guest, tap) in [("web1", "ids"), ("web2", "span")] {
                try await host.virtTapSucceeds("unset", guest, tap)
                try await host.waitForEnd(of: guest, tap: tap)
            }
            try await host.reload()
        }
    }
}
