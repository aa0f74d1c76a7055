// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd.RunningGuests {
    /// `virt-tap test` against what a sensor, the guest and its network see.
    @Suite struct TestCommandTests {
        let host: TappedHost = .current
        var web1: Guest { host.web1 }

        init() async throws { try await host.withoutTaps() }

        /// Frames of `virt-tap test` in a capture: by their port, wherever it is.
        private func tests(in sensor: Sensor) throws -> Int {
            let text = Data("virt-tap test: this frame".utf8)
            return try sensor.frames().count { Data($0.bytes).range(of: text) != nil }
        }

        private func expect(_ result: CommandResult, _ status: Int32, says: String..., sourceLocation: SourceLocation = #_sourceLocation) {
            #expect(result.status == status, "\(result.text)\(result.errorText)", sourceLocation: sourceLocation)
            for text in says {
                #expect(
                    (result.text + result.errorText).contains(text), "\(result.text)\(result.errorText)", sourceLocation: sourceLocation)
            }
        }

        @Test func aFrameArrivesAndNobodyElseSeesIt() async throws {
            try await host.virtTapSucceeds("set", "web1", "--to", "ids")
            try await host.wait(for: "web1")
            let copies = try await Sensor(host.lab, at: "ids1")
            let guest = try await Sensor(host.lab, at: "tap-web1", direction: "inout")
            let network = try await Sensor(host.lab, at: "br0", direction: "inout")
            let before = try await host.packets(of: web1, "outbound")["copied"]

            expect(
                try await host.virtTap("test", "web1"), 0, says: "tap-web1", "first in the chain", "arrived at ids1",
                "2 of 2 test frames arrived or left the host")
            try await eventually("both frames are at the sensor") { try tests(in: copies) == 2 }
            #expect(try await host.packets(of: web1, "outbound")["copied"] == before)
            // A filter and a sample leave it out, which is said, and do not keep the rest of the path from being tested.
            let choices = [
                (["--sample", "1/1000000"], "its sample does not match"), (["--filter", "tcp port 4444"], "its filter does not match"),
            ]
            for (options, why) in choices {
                try await host.virtTapSucceeds(["set", "web1"] + options)
                try await host.wait(for: "web1")
                expect(try await host.virtTap("test", "web1", "ids"), 0, says: why, "2 of 2")
            }
            try await eventually("all frames are at the sensor") { try tests(in: copies) == 6 }
            // Cut, it is known all the same.
            try await host.virtTapSucceeds("set", "web1", "--snaplen", "headers")
            try await host.wait(for: "web1")
            expect(try await host.virtTap("test", "web1"), 0, says: "came in: 42 bytes", "2 of 2")
            #expect(try tests(in: guest) == 0 && tests(in: network) == 0)
            for sensor in [copies, guest, network] { #expect(try await sensor.stop() == 0) }
            try await host.virtTapSucceeds("unset", "web1", "ids")
            try await host.waitForEnd(of: "web1")
        }

        @Test func itSaysWhereTheWayEnds() async throws {
            expect(try await host.virtTap("test", "web1"), 1, says: "has no tap")
            expect(try await host.virtTap("test", "nobody"), 1, says: "nobody")
            try await host.virtTapSucceeds("set", "web1", "--to", "span")
            try await host.wait(for: "web1", tap: "span")
            expect(try await host.virtTap("test", "web1", "ids"), 1, says: "has no tap \"ids\"; it has span")
            try await host.lab.succeed("ip", "link", "set", "span1", "down")
            try await host.wait(for: "web1", tap: "span", .failed, .destinationDown)
            expect(try await host.virtTap("test", "web1"), 1, says: "DID NOT ARRIVE: destination span", "no carrier", "0 of 2")
            try await host.lab.succeed("ip", "link", "set", "span1", "up")
            try await host.wait(for: "web1", tap: "span")
            expect(try await host.virtTap("test", "web1"), 0, says: "2 of 2")
            // A queue without room.
            try await host.lab.succeed("tc", "qdisc", "add", "dev", "span0", "root", "pfifo", "limit", "0")
            expect(try await host.virtTap("test", "web1"), 1, says: "not made", "DID NOT ARRIVE", "0 of 2")
            try await host.lab.succeed("tc", "qdisc", "del", "dev", "span0", "root")
            try await web1.setMetadata("<tap to='span' enabled='no'/>")
            try await host.wait(for: "web1", tap: "span", .disabled, .disabledByMetadata)
            expect(try await host.virtTap("test", "web1"), 1, says: "nothing was sent", "disabled-by-metadata")
            try await host.virtTapSucceeds("unset", "web1", "span")
            try await host.stopDaemon()
            expect(try await host.virtTap("test", "web1"), 1, says: "virt-tapd is not running")
            try await host.startDaemon()
        }

        @Test func itLeavesTheHostThroughATunnel() async throws {
            let far = try await FarMachine(host.lab)
            try await far.connect()
            for kind in ["vxlan", "geneve", "gre", "erspan"] {
                let number = ["vxlan": "vni", "geneve": "vni", "gre": "key", "erspan": "session"][kind, default: ""]
                try await host.reload(
                    TappedHost.configuration.replacingOccurrences(
                        of: "</virt-tap>",
                        with: "<destination name='tun'><\(kind) remote='10.9.0.2' \(number)='77'/></destination></virt-tap>"))
                if kind == "vxlan" { try await host.setTap("web1", "--to", "tun") }
                try await eventually("\(kind) takes copies") {
                    let isReady = try await host.status().destinations.contains {
                        $0.name == "tun" && $0.kind.rawValue == kind && $0.state == .active
                    }
                    guard isReady else { return false }
                    return try await host.tap("tun", of: "web1")?.state == .active
                }
                let result = try await host.virtTap("test", "web1")
                expect(result, 0, says: "left the host by up0", "of them outer headers", "2 of 2")
                // That machine knows VXLAN alone; its answer, which quotes the frame, is no arrival.
                let refused = ["geneve": "port", "gre": "protocol", "erspan": "protocol"][kind]
                #expect(result.text.contains("10.9.0.2 answers by ICMP") == (refused != nil), "\(kind): \(result.text)")
                if let refused { expect(result, 0, says: "\(refused) unreachable") }
                #expect(!result.text.contains("came in:"), "\(kind): \(result.text)")
            }
            try await host.virtTapSucceeds("unset", "web1", "tun")
            try await host.waitForEnd(of: "web1", tap: "tun")
            try await far.remove()
            try await host.reload()
        }
    }
}
