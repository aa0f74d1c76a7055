// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd.RunningGuests {
    /// A filter says which packets are copied, those and no others, whatever happens to it and to the daemon.
    @Suite struct FilterChoiceTests {
        let host: TappedHost = .current
        var web1: Guest { host.web1 }

        init() async throws { try await host.withoutTaps() }

        @Test func whatMatchesIsCopiedAndNothingElseOverEveryChange() async throws {
            let narrow = "udp dst port 40002 and dst host \(EndToEnd.RunningGuests.address2)"
            let wide = "udp dst port 40003 or (\(narrow))"
            let copies = try await Sensor(host.lab, at: "ids1")
            let original = try await Sensor(host.lab, at: "tap-web1", direction: "inout")
            try await set("--to", "ids", "--filter", narrow)
            let before = try await host.wait(for: "web1")
            let unseen = try await host.unseen(of: web1)
            let always = try await Flow.start(web1, to: EndToEnd.RunningGuests.address2, port: 40002)
            let sometimes = try await Flow.start(web1, to: EndToEnd.RunningGuests.address2, port: 40003)
            let never = try await Flow.start(web1, to: "192.0.2.1", port: 40002)
            for _ in 1...3 {
                try await always.moves(at: copies)
                // What was on its way to the capture has come when later packets have.
                let end = try sometimes.numbers(in: copies).count
                for flow in [always, sometimes, never] { try await flow.moves(at: original) }
                try await always.moves(at: copies)
                #expect(try sometimes.numbers(in: copies).count == end)
                try await set("--filter", wide)
                try await always.moves(at: copies)
                try await sometimes.moves(at: copies)
                try await set("--filter", narrow)
            }
            try await set("--filter", "udp dst port 40003")
            try await sometimes.moves(at: copies)
            let end = try always.numbers(in: copies).count
            for flow in [always, sometimes, never] { try await flow.moves(at: original) }
            let after = try await host.wait(for: "web1")
            for flow in [always, sometimes, never] { try await flow.stop() }

            // Not one frame went by uncounted in all the changes, and what was counted as copied has arrived.
            #expect(try await host.unseen(of: web1) == unseen)
            let (sent, received) = (try await host.packets(of: web1, "outbound"), try await host.packets(of: web1, "inbound"))
            try await eventually("all copies arrive") { try copies.frames().count == sent["copied"] }
            #expect(received["copied"] == 0 && received["filtered"] == received["seen"])
            for counters in [sent, received] { #expect(counters["errors"] == 0 && counters["sampled_out"] == 0) }
            let numbers = try always.numbers(in: copies)
            #expect(numbers == Array(1...numbers.count) && numbers.count == end)
            #expect(try never.numbers(in: copies).isEmpty)
            #expect(try numbers.count + sometimes.numbers(in: copies).count == copies.frames().count)
            // Copied in between only, and at the end up to the last.
            let some = try sometimes.numbers(in: copies)
            #expect(try some == Array(Set(some)).sorted() && some.last == sometimes.numbers(in: original).last)
            #expect(after.interfaces.first?.since == before.interfaces.first?.since)
            #expect(after.filter == "udp dst port 40003")
            #expect(try await copies.stop() == 0)
            #expect(try await original.stop() == 0)
            try await unset()
        }

        /// It filters, cuts and limits in the kernel: nothing of that needs a daemon, and the next one leaves it as it is.
        @Test func aTapThatChoosesOutlivesTheDaemon() async throws {
            try await web1.setMetadata(
                "<tap to='ids' snaplen='80' rate='50pps' burst='5'><filter>udp dst port 40002</filter></tap>")
            let before = try await host.wait(for: "web1")
            let programs = try await KernelPrograms.ids(on: "tap-web1", of: host.lab)
            #expect(programs.count == 2)
            let (pins, hops) = (try await host.pins(of: web1), try await relayPrograms())
            let copies = try await Sensor(host.lab, at: "ids1")
            let flow = try await Flow.start(web1, to: EndToEnd.RunningGuests.address2, size: 200)
            let other = try await Flow.start(web1, to: EndToEnd.RunningGuests.address2, port: 40003, size: 200)
            try await flow.moves(at: copies, by: 50)
            let counted = try await host.packets(of: web1, "outbound")

            try await host.stopDaemon(signal: "KILL")
            try await flow.moves(at: copies, by: 100)
            #expect(try await KernelPrograms.ids(on: "tap-web1", of: host.lab) == programs)
            try await host.startDaemon()
            let after = try await host.wait(for: "web1", "is known with its domain") { $0.state == .active && $0.running == true }
            try await flow.moves(at: copies, by: 50)
            #expect(try await KernelPrograms.ids(on: "tap-web1", of: host.lab) == programs)
            #expect(try await host.pins(of: web1) == pins)
            #expect(try await relayPrograms() == hops)
            #expect(after.filter == "udp dst port 40002" && after.snaplen == "80" && after.rate == "50pps")
            #expect(after.interfaces.first?.since == before.interfaces.first?.since)
            let counters = try await host.packets(of: web1, "outbound")
            for counter in ["copied", "filtered", "rate_limited"] {
                #expect(try #require(counters[counter]) > #require(counted[counter]), "\(counter)")
            }
            #expect(counters["errors"] == 0)

            try await flow.stop()
            try await other.stop()
            let frames = try copies.frames()
            #expect(try frames.count == flow.frames(in: copies).count)
            #expect(frames.allSatisfy { $0.length == 80 })
            #expect(frames.keep(to: 50, burst: 5))
            #expect(try await copies.stop() == 0)
            try await unset()
            #expect(try await relayDevices().isEmpty)
        }

        private func set(_ options: String...) async throws {
            let result = try await host.virtTap(["set", "web1"] + options)
            guard result.status == 0 else { throw CommandFailure(result: result, timeout: nil) }
            #expect(result.text.contains("active"), "\(result.text)")
        }

        private func unset() async throws {
            try await host.virtTapSucceeds("unset", "web1", "--all")
            try await host.waitForEnd(of: "web1")
        }

        private func relayDevices() async throws -> [String] {
            try await host.lab.succeed("ip", "-br", "link").split(separator: "\n").filter { $0.hasPrefix("virttap-") }.map(String.init)
        }

        /// What tc says of the programs that cut: their numbers are in it.
        private func relayPrograms() async throws -> [String] {
            let shown = [
                try await host.lab.succeed("tc", "filter", "show", "dev", "virttap-cut", "egress"),
                try await host.lab.succeed("tc", "filter", "show", "dev", "virttap-cut-in", "ingress"),
            ]
            for text in shown { #expect(text.contains(" id "), "\(text)") }
            return shown
        }
    }
}
