// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd.RunningGuests {
    /// How much of what matches is copied: cut, one flow in so many, once, at most so much a second.
    @Suite struct CopyChoiceTests {
        let host: TappedHost = .current
        var web1: Guest { host.web1 }
        var web2: Guest { host.web2 }

        init() async throws { try await host.withoutTaps() }

        /// The guests send GSO packets and leave checksums to others; the copies are segments as a wire would have had.
        @Test(arguments: ["128", "headers"])
        func whatIsCutIsTheCopyAlone(_ snaplen: String) async throws {
            let size = 4 << 20
            try await serve("big", size: size)
            let sum = try await web2.succeed("sha256sum </tmp/www/big")
            let copies = try await Sensor(host.lab, at: "ids1")
            let original = try await Sensor(host.lab, at: "tap-web1", direction: "inout")
            try await host.virtTapSucceeds("set", "web1", "--to", "ids", "--snaplen", snaplen)
            try await host.wait(for: "web1")
            #expect(try await relayDevices() == ["virttap-cut", "virttap-cut-in"])
            #expect(try await web1.succeed("wget -q -O - http://\(EndToEnd.RunningGuests.address2)/big | sha256sum") == sum)
            try await eventually("the copies of the whole stream") {
                let length = try Self.stream(in: copies)
                return try length > size && length == Self.stream(in: original)
            }
            let counters = [try await host.packets(of: web1, "outbound"), try await host.packets(of: web1, "inbound")]
            for counter in counters { #expect(counter["seen"] == counter["copied"], "\(counter)") }
            try await host.virtTapSucceeds("unset", "web1", "--all")
            try await host.waitForEnd(of: "web1")
            try await eventually("our devices are gone") { try await relayDevices().isEmpty }

            #expect(try original.frames().contains { $0.length > 1514 }, "the guests send no GSO packets here")
            for frame in try copies.frames() {
                let segment = TCPSegment(frame)
                #expect((segment?.payload ?? 0) <= 1460)
                let headers = segment?.end ?? 42
                if snaplen == "headers" {
                    #expect(frame.length == headers)
                } else {
                    #expect(frame.length == min(headers + (segment?.payload ?? 0), 128))
                }
            }
            #expect(try copies.frames().count == counters.compactMap { $0["copied"] }.reduce(0, +))
            #expect(try await copies.stop() == 0)
            #expect(try await original.stop() == 0)
        }

        @Test func devicesOfOursThatWereRemovedAreMadeAnewAndToldOf() async throws {
            try await host.virtTapSucceeds("set", "web1", "--to", "ids", "--snaplen", "128")
            try await host.wait(for: "web1")
            try await host.lab.succeed("ip", "link", "del", "virttap-cut")
            try await eventually("they are there again") { try await relayDevices().count == 2 }
            try await host.wait(for: "web1")
            #expect(host.lab.log("virt-tapd").contains("somebody removed or changed what its copies need"))
            let copies = try await Sensor(host.lab, at: "ids1")
            let flow = try await Flow.send(20, from: web1, to: EndToEnd.RunningGuests.address2)
            try await flow.isComplete(at: copies, 20)
            #expect(try await copies.stop() == 0)
            try await host.virtTapSucceeds("unset", "web1", "--all")
            try await host.waitForEnd(of: "web1")
        }

        /// Both guests' taps make the same choice, and what they choose is there from the first packet to the last.
        @Test func theSameFlowsAreChosenEverywhereAndWhole() async throws {
            let count = 40
            try await serve("small", size: 500)
            let first = try await Sensor(host.lab, at: "ids1")
            let second = try await Sensor(host.lab, at: "span1")
            let original = try await Sensor(host.lab, at: "tap-web1", direction: "inout")
            try await host.virtTapSucceeds("set", "web1", "--to", "ids", "--sample-flows", "1/4")
            try await host.virtTapSucceeds("set", "web2", "--to", "span", "--sample-flows", "1/4")
            try await host.wait(for: "web1")
            try await host.wait(for: "web2", tap: "span")
            let unseen = try await host.unseen(of: web1)
            try await web1.succeed(
                "for i in $(seq \(count)); do wget -q -O /dev/null http://\(EndToEnd.RunningGuests.address2)/small || exit; done")
            #expect(try await host.unseen(of: web1) == unseen)
            let counters = [try await host.packets(of: web1, "outbound"), try await host.packets(of: web1, "inbound")]
            try await eventually("all copies arrive") {
                try first.frames().count == counters.compactMap { $0["copied"] }.reduce(0, +)
            }

            let all = try Self.flows(in: original)
            #expect(all.count == count)
            let chosen = try Self.flows(in: first)
            #expect(!chosen.isEmpty && chosen.count < count)
            for (port, segments) in chosen { #expect(segments == all[port]) }
            try await eventually("the other guest's tap chooses them") { try Self.flows(in: second) == chosen }
            for counter in counters { #expect(try #require(counter["sampled_out"]) > 0 && counter["filtered"] == 0) }
            for sensor in [first, second, original] { #expect(try await sensor.stop() == 0) }
            try await withoutTaps(second: "span")
        }

        @Test func betweenTwoTappedGuestsEachFrameIsCopiedOnce() async throws {
            let copies = try await Sensor(host.lab, at: "ids1")
            for guest in [web1, web2] { try await guest.setMetadata("<tap to='ids' once='yes'/>") }
            for guest in [web1, web2] { try await host.wait(for: guest.name) }
            let flows = [
                try await Flow.send(200, from: web1, to: EndToEnd.RunningGuests.address2),
                try await Flow.send(200, from: web2, to: EndToEnd.RunningGuests.address1),
                try await Flow.send(200, from: web1, to: "192.0.2.255"),
                // The other guest has no part in this one.
                try await Flow.send(200, from: web1, to: "192.0.2.1"),
            ]
            for flow in flows { try await eventually("all copies") { try Set(flow.numbers(in: copies)).count == 200 } }
            try await web1.pingsWithoutLoss(EndToEnd.RunningGuests.address2)
            let passed = [try await host.packets(of: web1, "inbound"), try await host.packets(of: web2, "inbound")]
            let copied = try await [host.packets(of: web1, "outbound"), host.packets(of: web2, "outbound")] + passed
            try await eventually("all copies arrive") {
                try copies.frames().count == copied.compactMap { $0["copied"] }.reduce(0, +)
            }
            for flow in flows { #expect(try flow.numbers(in: copies) == Array(1...200)) }
            #expect(try copies.frames().count { $0.isICMP && [0, 8].contains($0.bytes[34]) } == 40)
            #expect(try #require(passed[0]["already_copied"]) >= 220)
            #expect(try #require(passed[1]["already_copied"]) >= 420)
            #expect(try await copies.stop() == 0)
            try await withoutTaps(second: "ids")
        }

        /// A tap's own limit, then that of its destination beside it.
        @Test func noMoreThanTheRateArrives() async throws {
            try await web1.setMetadata("<tap to='ids' rate='100pps' burst='20' direction='outbound'/>")
            try await host.wait(for: "web1")
            let flow = try await Flow.start(web1, to: EndToEnd.RunningGuests.address2, interval: 2)
            try await expectRate(100, burst: 20, of: flow)
            try await host.reload(
                TappedHost.configuration.replacingOccurrences(of: "name=\"ids\"", with: "name=\"ids\" rate=\"40pps\" burst=\"4\""))
            try await eventually("the destination's limit is counted") {
                try await host.status().destinations.first { $0.name == "ids" }?.rateLimited.packets ?? 0 > 0
            }
            try await expectRate(40, burst: 4, of: flow)
            try await flow.stop()
            try await host.reload()
            let counters = try await host.packets(of: web1, "outbound")
            #expect(try #require(counters["rate_limited"]) > #require(counters["copied"]) && counters["errors"] == 0)
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1")
        }

        /// Over three seconds, and over each part of them.
        private func expectRate(_ rate: Double, burst: Int, of flow: Flow, sourceLocation: SourceLocation = #_sourceLocation) async throws {
            let copies = try await Sensor(host.lab, at: "ids1")
            var frames: [CapturedFrame] = []
            try await eventually("three seconds of copies", within: .seconds(60)) {
                frames = try flow.frames(in: copies)
                return frames.last.map { $0.time - frames[0].time > 3 } ?? false
            }
            let seconds = try #require(frames.last).time - frames[0].time
            #expect(frames.keep(to: rate, burst: burst), sourceLocation: sourceLocation)
            // And no less, as far as the guest sends more.
            #expect(Double(frames.count) > rate * seconds * 0.9, "\(frames.count) in \(seconds) s", sourceLocation: sourceLocation)
            #expect(try await copies.stop() == 0, sourceLocation: sourceLocation)
        }

        /// A web server in web2 with one more file.
        private func serve(_ file: String, size: Int) async throws {
            try await web2.succeed(
                "mkdir -p /tmp/www && head -c \(size) /dev/urandom >/tmp/www/\(file) && (pidof httpd >/dev/null || httpd -h /tmp/www)")
        }

        private func withoutTaps(second: String) async throws {
            for guest in [web1, web2] { try await host.virtTapSucceeds("unset", guest.name, "--all") }
            try await host.waitForEnd(of: "web1")
            try await host.waitForEnd(of: "web2", tap: second)
        }

        private func relayDevices() async throws -> [String] {
            try await host.lab.succeed("ip", "-br", "link").split(separator: "\n").filter { $0.hasPrefix("virttap-") }
                .compactMap { $0.split { $0 == " " || $0 == "@" }.first.map(String.init) }.sorted()
        }

        /// How much of what the server sent is there: the file, and a few words before it.
        private static func stream(in sensor: Sensor) throws -> Int {
            TCPSegment.streamLength(try sensor.frames().compactMap(TCPSegment.init), from: 80)
        }

        /// How often each segment is there, by the client's port.
        private static func flows(in sensor: Sensor) throws -> [Int: [TCPSegment: Int]] {
            let segments = try sensor.frames().compactMap(TCPSegment.init)
            return Dictionary(grouping: segments) { $0.source == 80 ? $0.destination : $0.source }.mapValues { list in
                list.reduce(into: [:]) { $0[$1, default: 0] += 1 }
            }
        }
    }
}
