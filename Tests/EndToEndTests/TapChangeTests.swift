// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd.RunningGuests {
    /// A tap follows the metadata of a running guest, and copies exactly what the guest sends and receives meanwhile.
    @Suite struct TapChangeTests {
        let host: TappedHost = .current
        var web1: Guest { host.web1 }
        var web2: Guest { host.web2 }

        init() async throws { try await host.withoutTaps() }

        @Test func everyFrameIsCopiedAsItIs() async throws {
            let copies = try await Sensor(host.lab, at: "ids1")
            let original = try await Sensor(host.lab, at: "tap-web1", direction: "inout")
            let early = try await Flow.send(20, from: web1, to: EndToEnd.RunningGuests.address2)

            try await web1.setMetadata("<tap to='ids'/>")
            try await host.wait(for: "web1")
            let outbound = try await Flow.send(300, from: web1, to: EndToEnd.RunningGuests.address2)
            let inbound = try await Flow.send(300, from: web2, to: EndToEnd.RunningGuests.address1)
            try await web1.pingsWithoutLoss(EndToEnd.RunningGuests.address2)

            try await eventually("both flows are copied") {
                try outbound.numbers(in: copies).count >= 300 && inbound.numbers(in: copies).count >= 300
            }
            // What status counts is what arrived.
            var tap: TapStatus?
            try await eventually("status counts what was copied") {
                tap = try await host.tap(of: "web1")
                return try counted(tap) == (copies.frames().count, copies.frames().map(\.length).reduce(0, +))
            }
            #expect(tap?.interfaces.first?.inbound?.seen == tap?.interfaces.first?.inbound?.copied)
            #expect(tap?.interfaces.first?.outbound?.seen == tap?.interfaces.first?.outbound?.copied)
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1")
            let late = try await Flow.send(20, from: web1, to: EndToEnd.RunningGuests.address2)
            try await late.isComplete(at: original, 20)

            #expect(try early.numbers(in: copies).isEmpty)
            #expect(try late.numbers(in: copies).isEmpty)
            #expect(try await original.stop() == 0)
            #expect(try await copies.stop() == 0)
            for flow in [outbound, inbound] {
                #expect(try flow.numbers(in: copies) == Array(1...300))
                #expect(try flow.frames(in: copies) == flow.frames(in: original))
            }
            func echoes(_ sensor: Sensor) throws -> [CapturedFrame] {
                try sensor.frames().filter { $0.isICMP && $0.bytes[34] != 3 }
            }
            let expected = try Dictionary(grouping: echoes(original)) { $0 }.mapValues(\.count)
            #expect(expected.values.reduce(0, +) == 40)
            #expect(try Dictionary(grouping: echoes(copies)) { $0 }.mapValues(\.count) == expected)
        }

        @Test func changesUnderTrafficLoseNothing() async throws {
            let first = try await Sensor(host.lab, at: "ids1")
            let second = try await Sensor(host.lab, at: "span1")
            let sent = try await Flow.start(web1, to: EndToEnd.RunningGuests.address2)
            let received = try await Flow.start(web2, to: EndToEnd.RunningGuests.address1)

            try await web1.setMetadata("<tap name='t' to='ids'/>")
            let before = try await host.wait(for: "web1", tap: "t")
            try await sent.moves(at: first)
            try await received.moves(at: first)

            try await web1.setMetadata("<tap name='t' to='ids' direction='outbound'/>")
            try await host.wait(for: "web1", tap: "t", "no inbound") { $0.interfaces.first?.inbound == nil }
            // What was on its way to the capture has come when later packets have.
            try await sent.moves(at: first)
            let end = try received.numbers(in: first).count
            try await sent.moves(at: first)
            #expect(try received.numbers(in: first).count == end)

            try await web1.setMetadata("<tap name='t' to='span' direction='outbound'/>")
            try await host.wait(for: "web1", tap: "t", "to span") { $0.destination == "span" && $0.state == .active }
            try await sent.moves(at: second)
            let arrived = try sent.numbers(in: first).count + sent.numbers(in: second).count
            let after = try await host.wait(for: "web1", tap: "t")

            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1", tap: "t")
            let copied = try sent.numbers(in: first) + sent.numbers(in: second)
            try await sent.stop()
            try await received.stop()

            // Every number from the first to the last, over both changes, each once.
            let from = try #require(copied.first)
            let to = try #require(copied.last)
            #expect(copied == Array(from...to))
            let inbound = try received.numbers(in: first)
            #expect(try inbound == Array(#require(inbound.first)...#require(inbound.last)))
            // Changed in place: the same attachment, whose counters went on.
            #expect(after.interfaces.first?.since == before.interfaces.first?.since)
            #expect(try #require(after.interfaces.first?.outbound).copied.packets >= UInt64(arrived))
            #expect(try await first.stop() == 0)
            #expect(try await second.stop() == 0)
        }

        @Test func severalTapsAndTappedNeighboursCopyEachPacketOnceEach() async throws {
            let first = try await Sensor(host.lab, at: "ids1")
            let second = try await Sensor(host.lab, at: "span1")
            try await web1.setMetadata(
                "<taps><tap name='a' to='ids'/><tap name='b' to='span' direction='outbound'/><tap name='c' to='ids'/></taps>")
            try await web2.setMetadata("<tap name='d' to='ids' direction='inbound'/>")
            for name in ["a", "b", "c"] { try await host.wait(for: "web1", tap: name) }
            try await host.wait(for: "web2", tap: "d")
            let flow = try await Flow.send(200, from: web1, to: EndToEnd.RunningGuests.address2)
            try await eventually("all copies") { try flow.numbers(in: first).count >= 600 && flow.numbers(in: second).count >= 200 }
            let back = try await Flow.send(100, from: web2, to: EndToEnd.RunningGuests.address1)
            try await eventually("all copies") { try back.numbers(in: first).count >= 200 }

            // Taking one away leaves the others.
            try await web1.setMetadata("<taps><tap name='a' to='ids'/></taps>")
            try await host.waitForEnd(of: "web1", tap: "c")
            try await host.waitForEnd(of: "web1", tap: "b")
            let rest = try await Flow.send(100, from: web1, to: EndToEnd.RunningGuests.address2)
            try await eventually("all copies") { try rest.numbers(in: first).count >= 200 }

            try await web1.removeMetadata()
            try await web2.removeMetadata()
            try await host.waitForEnd(of: "web1", tap: "a")
            try await host.waitForEnd(of: "web2", tap: "d")
            #expect(try await first.stop() == 0)
            #expect(try await second.stop() == 0)
            // a, c and web2's d; b; a and c; a and d.
            #expect(try counts(flow, first) == Array(repeating: 3, count: 200))
            #expect(try counts(flow, second) == Array(repeating: 1, count: 200))
            #expect(try counts(back, first) == Array(repeating: 2, count: 100))
            #expect(try counts(back, second).isEmpty)
            #expect(try counts(rest, first) == Array(repeating: 2, count: 100))
            #expect(try counts(rest, second).isEmpty)
        }

        @Test func copiesThatComeBackAreNotCopied() async throws {
            // What a destination leads to is looked at, but not a filter of others: this one has each copy sent by the guests' own bridge.
            try await host.lab.succeed("tc", "qdisc", "add", "dev", "span1", "clsact")
            try await host.lab.succeed(
                "tc", "filter", "add", "dev", "span1", "ingress", "protocol", "all", "u32", "match", "u32", "0", "0", "action", "mirred",
                "egress", "redirect", "dev", "br0")
            let copies = try await Sensor(host.lab, at: "span1")
            try await web1.setMetadata("<tap name='loop' to='span' direction='outbound'/>")
            try await web2.setMetadata("<tap name='loop' to='span' direction='inbound'/>")
            try await host.wait(for: "web1", tap: "loop")
            try await host.wait(for: "web2", tap: "loop")
            let flow = try await Flow.send(100, from: web1, to: EndToEnd.RunningGuests.address2)
            try await eventually("all copies") { try flow.numbers(in: copies).count >= 200 }
            let tap = try await host.wait(for: "web2", tap: "loop", "copies are passed over") {
                ($0.interfaces.first?.inbound?.marked.packets ?? 0) >= 200
            }
            try await web1.removeMetadata()
            try await web2.removeMetadata()
            try await host.waitForEnd(of: "web1", tap: "loop")
            try await host.waitForEnd(of: "web2", tap: "loop")
            #expect(try await copies.stop() == 0)
            try await host.lab.succeed("tc", "qdisc", "del", "dev", "span1", "clsact")
            #expect(try counts(flow, copies) == Array(repeating: 2, count: 100))
            #expect(tap.interfaces.first?.inbound?.copied == tap.interfaces.first?.inbound?.seen)
        }

        @Test func framesWithOthersMarksAreCopiedAndThoseWithOursAreToldOf() async throws {
            let copies = try await Sensor(host.lab, at: "ids1")
            try await web1.setMetadata("<tap to='ids'/>")
            let before = try #require(try await host.wait(for: "web1").interfaces.first?.inbound)
            // As NetBird's, WireGuard's and others' programs do, by a socket, of which no tool shows the mark.
            func send(_ count: Int, marked mark: UInt32) async throws {
                let program = """
                    import socket, struct, sys
                    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
                    s.setsockopt(socket.SOL_SOCKET, 36, struct.pack("I", \(mark)))
                    s.bind(("br0", 0))
                    for i in range(\(count)): s.send(b"\\xff" * 6 + b"\\x02\\0\\0\\0\\0\\1" + b"\\x88\\xb5" + struct.pack("I", \(mark)) + bytes(44))
                    """
                try await host.lab.succeed("/usr/bin/python3", "-c", program)
            }
            func copied(_ mark: UInt32) throws -> Int {
                try copies.frames().count { Array($0.bytes[12..<18]) == [0x88, 0xb5] + withUnsafeBytes(of: mark.littleEndian, Array.init) }
            }
            func isWarned(_ tap: TapStatus) -> Bool { tap.warnings.contains { $0.reason == .foreignMark } }
            let marks: [UInt32] = [0x1bd20, 0x2000, 0x40000, 0xca6c, 0x6d6f_6c65, .max]
            for mark in marks { try await send(5, marked: mark) }
            try await eventually("all are copied") { try marks.allSatisfy { try copied($0) == 5 } }
            let clean = try #require(try await host.tap(of: "web1"))
            #expect(!isWarned(clean) && clean.interfaces.first?.inbound?.marked == before.marked)

            try await send(7, marked: PacketMark().value)
            let tap = try await host.wait(for: "web1", "is warned of", isWarned)
            #expect(tap.state == .active && tap.interfaces.first?.inbound?.marked.packets == before.marked.packets + 7)
            let message = try #require(tap.warnings.first { $0.reason == .foreignMark }?.message)
            #expect(message.hasPrefix("7 frames to the guest (tap-web1, since ") && message.contains(PacketMark().description))
            #expect(try await host.virtTap("status", "--check").status == 0)
            #expect(try await host.virtTap("status").text.contains("(foreign-mark)"))
            #expect(try await host.virtTap("doctor").text.contains("have the mark of copies, \(PacketMark())"))
            try await host.reload()
            try await eventually("the log has it") { host.lab.log("virt-tapd").contains("web1: tap ids: 7 frames to the guest") }
            #expect(try copied(PacketMark().value) == 0)

            // Another mark ends it, and copying goes on.
            try await host.reload(TappedHost.configuration.replacing("<virt-tap>", with: "<virt-tap><mark value='0x2000'/>"))
            try await host.wait(for: "web1", "is not warned of any more") { $0.state == .active && !isWarned($0) }
            try await send(3, marked: PacketMark().value)
            try await eventually("they are copied") { try copied(PacketMark().value) == 3 }
            try await host.reload()
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1")
            #expect(try await copies.stop() == 0)
        }

        @Test func theNextStartIsToldFromThisOne() async throws {
            try await host.lab.virsh(
                "metadata", "--domain", "web1", "--uri", Guest.tapNamespace, "--key", "k", "--config", "--set", "<tap to='ids'/>")
            let coming = try await host.wait(for: "web1", .pending, .nextStart)
            #expect(coming.definition == .configOnly)
            #expect(try await host.pins(of: web1).isEmpty)
            try await web1.setMetadata("<tap to='ids' direction='outbound'/>")
            let now = try await host.wait(for: "web1")
            #expect(now.definition == .differs)
            #expect(now.warnings.map(\.reason) == [.definitionDiffers])
            try await host.lab.virsh("metadata", "--domain", "web1", "--uri", Guest.tapNamespace, "--config", "--remove")
            try await host.wait(for: "web1", "is only in the live definition") { $0.definition == .liveOnly }
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1")
        }

        @Test func theCommandWritesTheMetadata() async throws {
            try await host.virtTapSucceeds("set", "web1", "--to", "ids", "--direction", "outbound")
            #expect(try await host.wait(for: "web1").definition == .both)
            try await host.virtTapSucceeds("set", "web1", "--to", "span", "--name", "second")
            #expect(try await host.wait(for: "web1", tap: "second").definition == .both)
            #expect(try await host.tap(of: "web1")?.direction == .outbound)
            // What cannot work is not written, and says why.
            #expect(try await host.virtTap("set", "web1", "--to", "ids", "--snaplen", "1").status != 0)
            // A file with comments and a term a line.
            try host.lab.write("# backups\nnot (host 192.0.2.9 && port 873) &&  # rsync\n\nnot port 53\n", to: "/run/bpf.conf")
            try await host.virtTapSucceeds("set", "web1", "--name", "second", "--filter-file", "/run/bpf.conf")
            try await host.wait(for: "web1", tap: "second", "has its filter") {
                $0.state == .active && $0.filter == "not (host 192.0.2.9 && port 873) && not port 53"
            }
            try host.lab.write("not port 53\nnot port 80\n", to: "/run/bpf.conf")
            let refused = try await host.virtTap("set", "web1", "--name", "second", "--filter-file", "/run/bpf.conf")
            #expect(refused.status == 1 && refused.errorText.contains("no operator between line 1 (not port 53) and line 2 (not port 80)"))
            try await host.virtTapSucceeds("unset", "web1", "second")
            try await host.waitForEnd(of: "web1", tap: "second")
            #expect(try await host.tap(of: "web1")?.state == .active)
            try await host.virtTapSucceeds("unset", "web1", "--all")
            try await host.waitForEnd(of: "web1")
            for kind in ["--live", "--config"] {
                #expect(try await host.lab.run("virsh", "metadata", "web1", Guest.tapNamespace, kind).status != 0)
            }
        }

        @Test func whatIsNotUnderstoodSaysSoAndItsNeighbourWorks() async throws {
            try await web1.setMetadata(
                "<taps><tap name='ids' to='ids' direction='in'/><tap name='ok' to='ids'/><tap name='ok' to='span'/>"
                    + "<tap to='far'/><tap name='who' to='idz'/></taps>"
            )
            try await host.wait(for: "web1", tap: "ok")
            let taps = try await host.taps(of: "web1").filter { $0.running == true }
            #expect(taps.map(\.reason) == [.invalidMetadata, nil, .duplicateName, .neighbourUnreachable, .noSuchDestination])
            #expect(taps[0].message?.contains("inbound") == true)
            #expect(taps[4].message?.contains("ids") == true)
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1", tap: "ok")
        }

        /// Packets and bytes copied in both directions.
        private func counted(_ tap: TapStatus?) throws -> (Int, Int) {
            let interface = try #require(tap?.interfaces.first)
            let sum = try #require(interface.inbound).copied + #require(interface.outbound).copied
            return (Int(sum.packets), Int(sum.bytes))
        }

        /// How often each number of a flow is there, by number.
        private func counts(_ flow: Flow, _ sensor: Sensor) throws -> [Int] {
            let counts = Dictionary(grouping: try flow.numbers(in: sensor)) { $0 }
            return counts.keys.sorted().map { counts[$0]?.count ?? 0 }
        }
    }
}
