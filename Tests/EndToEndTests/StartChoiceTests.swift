// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd {
    /// Filters of guests that start, and one that takes its time.
    @Suite(.serialized, .tappedHost { _ in })
    struct StartChoiceTests {
        let host: TappedHost = .current

        /// The filter is compiled and in place before the guest has sent anything.
        @Test func whatMatchesOfAGuestsFirstPacketsIsCopied() async throws {
            // In "vt burst early 17" the 23rd byte of the UDP datagram is the number's first digit.
            let metadata = """
                <tap xmlns='urn:virt-tap:1' to='ids' required='yes'><filter>udp dst port 40001 and udp[23] = 0x31</filter></tap>
                """
            let guest = try await host.lab.guest(
                "early",
                GuestOptions(
                    ip: "192.0.2.21/24", append: "vt.burst=\(Self.burst):192.0.2.255 vt.ping=192.0.2.255:10", metadata: metadata,
                    start: false)
            )
            let sensor = try await Sensor(host.lab, at: "ids1")
            try await guest.start()
            // Before the guest has had time for anything.
            let tap = try #require(try await host.tap(of: "early"))
            #expect(tap.state == .active && tap.definition == .both && tap.warnings.isEmpty)
            try await guest.ready()
            try await host.lab.virsh("suspend", "early")
            let matching = (1...Self.burst).filter { "\($0)".hasPrefix("1") }
            try await eventually("the first packets that match") { try sensor.numbers("burst", from: "early") == matching }
            #expect(try await host.unseen(of: guest) == [0, 0])
            let counters = try await host.packets(of: guest, "outbound")
            #expect(counters["copied"] == matching.count)
            #expect(try #require(counters["filtered"]) > Self.burst - matching.count)
            #expect(counters["seen"] == (counters["copied"] ?? 0) + (counters["filtered"] ?? 0))
            #expect(try sensor.frames().count == matching.count)
            try await guest.destroy()
            #expect(try await sensor.stop() == 0)
        }

        @Test func aRequiredTapWhoseFilterIsNoneRefusesTheStart() async throws {
            func metadata(_ filter: String, _ required: String) -> String {
                "<tap xmlns='urn:virt-tap:1' name='t' to='ids' required='\(required)'><filter>\(filter)</filter></tap>"
            }
            let guest = try await host.lab.guest("strict", GuestOptions(metadata: metadata("tcp prot 80", "yes"), start: false))
            let refused = try await host.lab.run("virsh", "start", "strict")
            #expect(refused.status != 0)
            #expect(refused.errorText.contains("required tap t is not in place: invalid-filter"), "\(refused.errorText)")
            // libpcap's words.
            #expect(refused.errorText.contains("syntax error"), "\(refused.errorText)")
            #expect(try await guest.state == "shut off")
            #expect(try await host.pins(of: guest).isEmpty)
            for (filter, required, state, reason) in [
                ("tcp prot 80", "no", TapState.failed, Reason?.some(.invalidFilter)), ("tcp port 80", "yes", .active, nil),
            ] {
                try await host.lab.virsh(
                    "metadata", "--domain", "strict", "--uri", Guest.tapNamespace, "--key", "tap", "--config", "--set",
                    metadata(filter, required))
                try await guest.start()
                let tap = try #require(try await host.tap("t", of: "strict"))
                #expect(tap.state == state && tap.reason == reason)
                #expect(reason == nil || tap.message?.contains("syntax error") == true, "\(tap.message ?? "")")
                try await guest.destroy()
                try await host.waitForEnd(of: "strict", tap: "t")
            }
        }

        /// Four of them, one after the other, so that there is time for all the rest before the last is given up. The kernel and
        /// the log are asked: `status` itself waits a moment for what is being compiled.
        @Test func aFilterThatTakesLongKeepsNobodyElseWaiting() async throws {
            async let one = host.lab.guest("slow", GuestOptions(ip: "192.0.2.31/24"))
            async let two = host.lab.guest("other", GuestOptions(ip: "192.0.2.32/24"))
            let (slow, other) = try await (one, two)
            let third = try await host.lab.guest(
                "third",
                GuestOptions(
                    ip: "192.0.2.33/24", metadata: "<tap xmlns='urn:virt-tap:1' to='ids'><filter>udp</filter></tap>", start: false))
            try await slow.setMetadata("<tap to='ids'/>")
            try await host.wait(for: "slow")
            let pins = try await host.pins(of: slow)

            let names = ["ids", "b", "c", "d"]
            let taps = names.enumerated().map { "<tap name='\($1)' to='ids'><filter>\(Self.slowFilter($0))</filter></tap>" }
            try await slow.setMetadata("<taps>\(taps.joined())</taps>")
            try await eventually("its filters are being compiled") { log.contains("slow: tap d is pending") }
            // What was copied before is copied on until it is known.
            #expect(try await host.pins(of: slow) == pins && !pins.isEmpty)
            let clock = ContinuousClock()
            let change = try await clock.measure {
                try await other.setMetadata("<tap to='ids'><filter>udp dst port 40002</filter></tap>")
                try await eventually("the other guest is tapped") { try await !host.pins(of: other).isEmpty }
            }
            let start = try await clock.measure { try await third.start() }
            #expect(try await !host.pins(of: third).isEmpty)
            let command = try await clock.measure {
                let result = try await host.virtTap("set", "other", "--live", "--filter", "udp dst port 40003")
                #expect(result.status == 0, "\(result.errorText)")
            }
            // All of that while there was one left to be compiled.
            #expect(!log.contains("slow: tap d is failed"), "\(change), \(start), \(command)")
            let last = try #require(try await host.tap("d", of: "slow"))
            #expect(last.state == .pending && last.reason == .filterPending)
            for name in names {
                let tap = try await host.wait(for: "slow", tap: name, .failed, .invalidFilter, within: .seconds(60))
                #expect(tap.message?.contains("takes too long to compile") == true, "\(tap.message ?? "")")
            }
            #expect(try await host.pins(of: slow).isEmpty)
            for guest in [other, third] {
                #expect(try await host.tap(of: guest.name)?.state == .active)
            }
            #expect(log.contains("third: taps in place") && !log.contains("before its taps were in place"))
            for guest in [slow, other, third] { try await guest.destroy() }
        }

        private var log: String { host.lab.log("virt-tapd") }

        private static let burst = 150

        /// libpcap would take a minute for it.
        private static func slowFilter(_ first: Int) -> String {
            (1...180).map { "portrange \($0 + first)-\($0 + first + 2)" }.joined(separator: " or ")
        }
    }
}
