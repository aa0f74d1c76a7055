// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Dataplane
import DataplaneTestSupport
import Foundation
import TapModel
import Testing

extension KernelSuite {
    @Suite("Others on the same device")
    struct NeighbourTests {
        @Test(
            "Foreign TCX programs before and after are left alone, and find mark and cb as if we were not there",
            .enabled(if: Mechanism.here.contains(.tcx), "TCX needs Linux 6.6"), arguments: Mechanism.here)
        func leavesForeignTCXAlone(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let index = tapped.bench.guest.index
            let after = try [false, true].map { egress in
                let program = try ForeignProgram()
                try program.attach(to: index, egress: egress)
                return program
            }
            let desired = try tapped.attach()
            let before = try [false, true].map { egress in
                let program = try ForeignProgram(setting: (mark: 0x1234, cb: 0x5678))
                try program.attach(to: index, egress: egress, first: true)
                return program
            }
            let (sent, areWhole) = try tapped.exchange(5)
            #expect(areWhole)
            #expect(tapped.bench.sensor.receive(10) == sent)
            #expect((before + after).map(\.runs) == [5, 5, 5, 5])
            #expect(after.map(\.mark) == [0x1234, 0x1234])
            #expect(after.map(\.cb) == [0x5678, 0x5678])

            // One ahead of a TCX link; before a filter run all TCX programs.
            let position: ObservedAttachment.Hook =
                mechanism == .tcx ? .attached(position: 1, foreignAhead: 1) : .attached(position: 2, foreignAhead: 2)
            #expect(try tapped.dataplane.attachment(desired.key.id)?.hooks == [.inbound: position, .outbound: position])

            try tapped.dataplane.detach(desired.key.id)
            #expect(try tapped.exchange(5, from: 100).areWhole)
            #expect((before + after).map(\.runs) == [10, 10, 10, 10])
        }

        @Test("A foreign filter is left alone, whatever its handle, and so is its qdisc", arguments: Mechanism.here)
        func leavesForeignFilterAlone(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let index = tapped.bench.guest.index
            try run("tc", "qdisc", "add", "dev", tapped.bench.guest.name, "clsact")
            // The handle that we would take, at the priority that we would take.
            let foreign = try ForeignProgram()
            try foreign.attachFilter(to: index, egress: false, priority: 1, handle: 0x7674_0001)
            let desired = try tapped.attach()
            try tapped.dataplane.replace(try tapped.desired(), at: TappedBench.now)
            let (sent, areWhole) = try tapped.exchange(5)
            #expect(areWhole)
            #expect(tapped.bench.sensor.receive(10) == sent)
            #expect(foreign.runs == 5)
            #expect(try tapped.dataplane.attachment(desired.key.id)?.hooks[.outbound] == .attached(position: 0, foreignAhead: 0))

            try tapped.dataplane.detach(desired.key.id)
            #expect(try tapped.exchange(5, from: 100).areWhole)
            #expect(foreign.runs == 10)
            #expect(tapped.bench.sensor.receive(within: 50) == nil)
            #expect(try run("tc", "qdisc", "show", "dev", tapped.bench.guest.name).contains("clsact"))
        }

        @Test("A filter that takes our place later is not overwritten")
        func doesNotOverwriteFilters() throws {
            let tapped = try TappedBench(.clsact)
            let index = tapped.bench.guest.index
            let desired = try tapped.attach()
            try run("tc", "filter", "del", "dev", tapped.bench.guest.name, "ingress")
            #expect(try tapped.dataplane.attachment(desired.key.id)?.hooks[.outbound] == .detached)
            let foreign = try ForeignProgram()
            try foreign.attachFilter(to: index, egress: false, priority: 1, handle: 0x7674_0001)

            try tapped.dataplane.replace(desired, at: TappedBench.now)
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true)
            let (sent, areWhole) = try tapped.exchange(5)
            #expect(areWhole)
            #expect(tapped.bench.sensor.receive(10) == sent)
            #expect(foreign.runs == 5)
            try tapped.dataplane.detach(desired.key.id)
            #expect(try tapped.exchange(5).areWhole)
            #expect(foreign.runs == 10)
            #expect(tapped.bench.sensor.receive(within: 300) == nil)
            // Ours, but somebody relies on it now.
            #expect(try run("tc", "qdisc", "show", "dev", tapped.bench.guest.name).contains("clsact"))
        }

        @Test("Behind a classifier of another kind a filter gets the next priority and is not first")
        func goesBehindOtherClassifiers() throws {
            let tapped = try TappedBench(.clsact)
            let name = tapped.bench.guest.name
            try run("tc", "qdisc", "add", "dev", name, "clsact")
            try run("tc", "filter", "add", "dev", name, "ingress", "prio", "1", "protocol", "ip", "u32", "match", "u32", "0", "0")
            let desired = try tapped.attach(.outbound)
            #expect(try tapped.dataplane.attachment(desired.key.id)?.spec?.clsact?.priority == 2)
            guard case .attached(let position, let ahead)? = try tapped.dataplane.attachment(desired.key.id)?.hooks[.outbound] else {
                Issue.record("not attached")
                return
            }
            #expect(position == 1)
            #expect(ahead == 1)
        }

        @Test("An ingress qdisc is qdisc-conflict with clsact, and nothing to TCX; it stays")
        func respectsIngressQdisc() throws {
            for mechanism in Mechanism.here {
                let tapped = try TappedBench(mechanism)
                try run("tc", "qdisc", "add", "dev", tapped.bench.guest.name, "ingress")
                if mechanism == .tcx {
                    let desired = try tapped.attach()
                    try tapped.dataplane.detach(desired.key.id)
                } else {
                    let failure = #expect(throws: Failure.self) { try tapped.attach() }
                    #expect(failure?.reason == .qdiscConflict)
                    #expect(try tapped.dataplane.attachments() == [])
                }
                let qdiscs = try run("tc", "qdisc", "show", "dev", tapped.bench.guest.name)
                #expect(qdiscs.contains("qdisc ingress"))
                #expect(!qdiscs.contains("clsact"))
            }
        }

        @Test("What needs only ingress shares an ingress qdisc, is first on it, and leaves it as it was")
        func sharesIngressQdisc() throws {
            let tapped = try TappedBench(.clsact)
            let name = tapped.bench.guest.name
            try run("tc", "qdisc", "add", "dev", name, "ingress")
            try run(
                "tc", "filter", "add", "dev", name, "parent", "ffff:", "protocol", "all", "u32", "match", "u32", "0", "0", "flowid", ":1")
            let desired = try tapped.attach(.outbound)
            #expect(try tapped.dataplane.attachment(desired.key.id)?.hooks == [.outbound: .attached(position: 0, foreignAhead: 0)])
            let (sent, areWhole) = try tapped.exchange(5)
            #expect(areWhole)
            #expect(tapped.bench.sensor.receive(5) == Array(sent.prefix(5)))
            #expect(try tapped.dataplane.attachments().first?.excludesLimits == false)
            // The other direction cannot be had there, and asking for it changes nothing.
            #expect(#expect(throws: Failure.self) { try tapped.attach(tap: "second") }?.reason == .qdiscConflict)
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true)
            try tapped.dataplane.detach(desired.key.id)
            #expect(try run("tc", "qdisc", "show", "dev", name).contains("qdisc ingress"))
            #expect(try run("tc", "filter", "show", "dev", name, "ingress").contains("u32"))
        }

        @Test("Our ingress qdisc becomes clsact for a tap that needs egress, and the taps on it go on")
        func exchangesIngressQdisc() throws {
            let tapped = try TappedBench(.clsact)
            func qdiscs() throws -> String { try run("tc", "qdisc", "show", "dev", tapped.bench.guest.name) }
            let first = try tapped.attach(.outbound, tap: "first")
            #expect(try qdiscs().contains("qdisc ingress"))
            let second = try tapped.attach(tap: "second")
            #expect(try qdiscs().contains("qdisc clsact") && !qdiscs().contains("qdisc ingress"))
            for desired in [first, second] { #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true) }
            #expect(try tapped.exchange(5).areWhole)
            #expect(tapped.bench.sensor.receive(15).count == 15)
            #expect(try tapped.counters(first)[.outbound]?.copied.packets == 5)
            // The same in place, for one tap.
            for desired in [first, second] { try tapped.dataplane.detach(desired.key.id) }
            #expect(try !qdiscs().contains("ffff:"))
            try tapped.attach(.outbound, tap: "first")
            let both = try tapped.desired(tap: "first")
            try tapped.dataplane.replace(both, at: TappedBench.now)
            #expect(try tapped.dataplane.attachment(both.key.id)?.satisfies(both) == true)
            #expect(try tapped.exchange(5).areWhole)
            #expect(tapped.bench.sensor.receive(10).count == 10)
            try tapped.dataplane.detach(both.key.id)
            #expect(try !qdiscs().contains("ffff:"))
        }

        @Test("Our own clsact goes with the last of our filters, and not before")
        func removesOwnClsact() throws {
            let tapped = try TappedBench(.clsact)
            func hasClsact() throws -> Bool { try run("tc", "qdisc", "show", "dev", tapped.bench.guest.name).contains("clsact") }
            let first = try tapped.attach(tap: "first")
            let second = try tapped.attach(tap: "second")
            try tapped.dataplane.detach(first.key.id)
            #expect(try hasClsact())
            let (sent, areWhole) = try tapped.exchange(3)
            #expect(areWhole)
            #expect(tapped.bench.sensor.receive(6) == sent)
            try tapped.dataplane.detach(second.key.id)
            #expect(try !hasClsact())
        }

        @Test("Two taps on one device copy once each, and each other's copies not at all", arguments: Mechanism.here)
        func twoTaps(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let taps = try ["first", "second"].map { try tapped.attach(tap: $0) }
            let (sent, areWhole) = try tapped.exchange(5)
            #expect(areWhole)
            let copies = tapped.bench.sensor.receive(20)
            #expect(copies.count == 20)
            #expect(Set(copies) == Set(sent))
            for tap in taps {
                #expect(try tapped.counters(tap)[.outbound]?.copied == Counter(sent.prefix(5)))
                #expect(try tapped.counters(tap)[.inbound]?.marked == Counter())
            }
        }

        @Test("A tapped destination passes copies over and counts them", arguments: Mechanism.here)
        func doesNotCopyCopies(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            try tapped.attach()
            // The destination is itself tapped, in both directions, and copies to itself.
            var loop = try tapped.desired(tap: "loop")
            loop.key.ifindex = tapped.bench.destinationIndex
            loop.interface.device = tapped.bench.destination
            try tapped.dataplane.attach(loop, at: TappedBench.now)
            let (sent, areWhole) = try tapped.exchange(5)
            #expect(areWhole)
            #expect(tapped.bench.sensor.receive(10) == sent)
            let counters = try tapped.counters(loop)
            #expect(counters[.inbound]?.marked == Counter(sent))
            #expect(counters[.inbound]?.seen == Counter())
            #expect(counters[.outbound] == DirectionCounters())
        }
    }
}
