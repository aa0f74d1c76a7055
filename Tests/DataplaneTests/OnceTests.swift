// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import Glibc
import TapModel
import Testing

extension KernelSuite {
    @Suite("once: between two guests of this host a frame is copied once")
    struct OnceTests {
        /// Two guests in one bridge.
        private struct Pair {
            let tapped: TappedBench
            let second: TapDevice

            init(_ mechanism: Mechanism) throws {
                tapped = try TappedBench(mechanism)
                second = try TapDevice("second\(tapped.bench.number)")
                try ip("link set \(second.name) master \(tapped.bench.bridge) up\n")
            }

            /// Frames to nobody known, which a bridge hands to all.
            func send(_ count: Int, from device: TapDevice) throws {
                for number in 0..<count { try device.write(FrameBuilder.udp(number)) }
            }

            func counters(_ desired: DesiredAttachment) throws -> [Direction: DirectionCounters] { try tapped.counters(desired) }
        }

        @Test("Copied where it comes in, passed over where it goes out", arguments: Mechanism.here)
        func copiesOnce(_ mechanism: Mechanism) throws {
            let pair = try Pair(mechanism)
            let first = try pair.tapped.attach { $0.once = true }
            let second = try pair.tapped.attach(on: pair.second) { $0.once = true }
            try pair.send(50, from: pair.tapped.bench.guest)
            try pair.send(30, from: pair.second)
            #expect(pair.tapped.bench.sensor.receive(80).count == 80)
            let counters = (try pair.counters(first), try pair.counters(second))
            #expect(counters.0[.outbound]?.copied.packets == 50 && counters.1[.outbound]?.copied.packets == 30)
            #expect(counters.0[.inbound]?.alreadyCopied.packets == 30 && counters.1[.inbound]?.alreadyCopied.packets == 50)
            #expect(counters.0[.inbound]?.seen.packets == 30 && counters.1[.inbound]?.seen.packets == 50)
            // From elsewhere it is copied at each guest that it goes to.
            for number in 0..<10 {
                let frame = FrameBuilder.udp(number, toGuest: true)
                try pair.tapped.bench.peer.send([UInt8](repeating: 0xFF, count: 6) + frame[6...])
            }
            #expect(pair.tapped.bench.sensor.receive(20).count == 20)
        }

        @Test(
            "What the first tap did not copy, the second does", arguments: Mechanism.here,
            ["filter", "sample", "other destination", "without once", "gone"])
        func missesNothing(_ mechanism: Mechanism, _ what: String) throws {
            let pair = try Pair(mechanism)
            let bench = pair.tapped.bench
            if what == "other destination" {
                try pair.tapped.dataplane.setDestination("far", kind: .interface, ifindex: if_nametoindex(bench.port))
            }
            let first = try pair.tapped.attach(.outbound, to: what == "other destination" ? "far" : "ids") {
                $0.once = what != "without once"
                if what == "filter" { $0.filter = "tcp" }
                if what == "sample" { $0.sampling = .packets(oneIn: 2_147_483_647) }
            }
            let second = try pair.tapped.attach(.inbound, on: pair.second) { $0.once = true }
            if what == "gone" {
                try pair.send(5, from: bench.guest)
                try pair.tapped.dataplane.detach(first.key.id)
                usleep(50_000)
            }
            let before = try #require(try pair.counters(second)[.inbound])
            try pair.send(40, from: bench.guest)
            let after = try #require(try pair.counters(second)[.inbound])
            #expect(after.copied.packets - before.copied.packets == 40)
            #expect(after.alreadyCopied == before.alreadyCopied)
        }

        @Test("Two taps of one guest to one place: what one of them copied is copied", arguments: Mechanism.here)
        func combinesTaps(_ mechanism: Mechanism) throws {
            let pair = try Pair(mechanism)
            for (name, filter) in [("first", "udp"), ("second", "tcp"), ("third", "arp")] {
                try pair.tapped.attach(.outbound, tap: name) { ($0.once, $0.filter) = (true, filter) }
            }
            let receiver = try pair.tapped.attach(.inbound, on: pair.second) { $0.once = true }
            try pair.send(20, from: pair.tapped.bench.guest)
            #expect(pair.tapped.bench.sensor.receive(20).count == 20)
            #expect(try pair.counters(receiver)[.inbound]?.alreadyCopied.packets == 20)
        }
    }
}
