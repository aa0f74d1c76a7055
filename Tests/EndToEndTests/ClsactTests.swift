// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd {
    /// Taps as kernels without TCX have them: filters of a clsact qdisc, here because the configuration says so.
    ///
    /// What a qdisc costs is the kernel's: adding or removing one can lose frames that come for the guest at that moment.
    @Suite(
        .serialized,
        .tappedHost { host in
            try await host.reload(TappedHost.byClsact)
            var options = GuestOptions(append: "vt.burst=100:192.0.2.255 vt.ip.1=198.51.100.11/24")
            options.nics = ["bridge=br0,ip=192.0.2.11/24,target=tap-web1"]
            async let first = host.lab.guest("web1", options)
            async let second = host.lab.guest("web2", GuestOptions(ip: "192.0.2.12/24"))
            _ = try await (first, second)
        })
    struct ClsactTests {
        static let device = "tap-web1"
        let host: TappedHost = .current
        var web1: Guest { host.web1 }
        var web2: Guest { host.web2 }

        /// The tap's own may be back at any moment; and whose parent is shown depends on who added the last one.
        private func filtersOfOthers() async throws -> [String] {
            try await tc("filter", "ingress").split(separator: "\n").filter { !$0.contains(" bpf ") }.map {
                $0.replacingOccurrences(of: " parent ffff:", with: "")
            }
        }

        /// How often the daemon has put something back before.
        private let earlier: Int

        init() async throws {
            try await host.withoutTaps()
            earlier = Self.puttingBack(host)
        }

        @Test func aGuestIsCopiedFromItsFirstPacketAndItsEndLeavesNothing() async throws {
            try await host.lab.virsh(
                "metadata", "--domain", "web1", "--uri", Guest.tapNamespace, "--key", "tap", "--config", "--live", "--set",
                "<tap to='ids'/>")
            #expect(try await tapped().mechanism == .clsact)
            try await web1.destroy()
            try await host.waitForEnd(of: "web1")
            #expect(try host.pins().isEmpty)
            try await eventually("no pin tells of a qdisc") {
                try !FileManager.default.contentsOfDirectory(atPath: host.lab.path("/sys/fs/bpf/virt-tap/1")).contains {
                    $0.hasPrefix("qdisc")
                }
            }

            let sensor = try await Sensor(host.lab, at: "ids1")
            try await web1.start()
            // Before the guest has had time for anything.
            #expect(try await host.tap(of: "web1")?.state == .active)
            try await eventually("the whole burst is copied", within: .seconds(40)) {
                try sensor.numbers("burst", from: "web1") == Array(1...100)
            }
            try await web1.ready()
            try await web1.pingsWithoutLoss("192.0.2.12")
            try await eventually("status counts what was copied") {
                let interface = try await tapped()
                let counted = try #require(interface.inbound).copied + #require(interface.outbound).copied
                let frames = try sensor.frames()
                return counted.packets == UInt64(frames.count) && counted.bytes == UInt64(frames.map(\.length).reduce(0, +))
            }
            #expect(try await sensor.stop() == 0)
            try await host.lab.virsh("metadata", "--domain", "web1", "--uri", Guest.tapNamespace, "--config", "--live", "--remove")
            try await leavesNothing()
        }

        @Test func changesUnderTrafficLoseNoCopy() async throws {
            let first = try await Sensor(host.lab, at: "ids1")
            let second = try await Sensor(host.lab, at: "span1")
            let original = try await Sensor(host.lab, at: Self.device, direction: "inout")
            let sent = try await Flow.start(web1, to: "192.0.2.12")
            let received = try await Flow.start(web2, to: "192.0.2.11")
            try await sent.moves(at: original)

            try await web1.setMetadata("<tap to='ids'/>")
            let before = try await tapped()
            try await sent.moves(at: first)
            try await received.moves(at: first)
            try await web1.setMetadata("<tap name='ids' to='span'/>")
            try await host.wait(for: "web1", "to span") { $0.destination == "span" && $0.state == .active }
            try await sent.moves(at: second)
            try await web1.setMetadata("<tap name='ids' to='span' direction='outbound'/>")
            try await host.wait(for: "web1", "no inbound") { $0.interfaces.first?.inbound == nil }
            try await sent.moves(at: second)
            let after = try await tapped()
            try await web1.removeMetadata()
            try await leavesNothing()
            try await sent.stop()
            try await received.stop()
            try await eventually("the far end has all that was sent") {
                try sent.numbers(in: original).last == sent.numbers(in: original).count
            }

            // Every number from the first to the last, over all changes, each once.
            for flow in [sent, received] {
                let copied = try flow.numbers(in: first) + flow.numbers(in: second)
                #expect(try copied == Array(#require(copied.first)...#require(copied.last)))
            }
            #expect(after.since == before.since)
            #expect(try #require(after.outbound).copied.packets > #require(before.outbound).copied.packets)
            // No qdisc of ours costs the guest anything that it sends.
            let numbers = try sent.numbers(in: original)
            #expect(numbers == Array(1...numbers.count))
            for sensor in [first, second, original] { #expect(try await sensor.stop() == 0) }
        }

        @Test func anInterfaceThatIsPluggedInIsTappedUntilItGoes() async throws {
            let mac = "52:54:00:aa:bb:02"
            let plugged = "<interface type='bridge'><mac address='\(mac)'/><source bridge='br0'/><model type='virtio'/></interface>"
            try await web1.setMetadata("<tap to='ids'><interface mac='\(mac)'/></tap>")
            try await host.wait(for: "web1", .failed, .noMatchingInterface)
            try await web1.plug(plugged)
            #expect(try await tapped().mechanism == .clsact)
            try await eventually("the guest configured its new interface") {
                try await web1.succeed("ip address show").contains("198.51.100.11/24")
            }
            let copies = try await Sensor(host.lab, at: "ids1")
            let flow = try await Flow.send(100, from: web1, to: "198.51.100.255", device: "eth1")
            try await flow.isComplete(at: copies, 100)
            try await web1.unplug(plugged)
            try await host.wait(for: "web1", .failed, .noMatchingInterface)
            try await eventually("its pins are collected") { try host.pins().isEmpty }
            #expect(try await copies.stop() == 0)
            try await web1.removeMetadata()
            try await leavesNothing()
        }

        @Test func aDaemonThatIsKilledIsReplacedByOneThatAdopts() async throws {
            let copies = try await Sensor(host.lab, at: "ids1")
            let original = try await Sensor(host.lab, at: Self.device, direction: "inout")
            try await web1.setMetadata("<tap to='ids'/>")
            let before = try await tapped()
            let (pins, filters) = (try host.pins(), try await tc("filter", "ingress") + tc("filter", "egress"))
            #expect(filters.contains("virt_tap:["))
            let sent = try await Flow.start(web1, to: "192.0.2.12")
            let received = try await Flow.start(web2, to: "192.0.2.11")
            for _ in 1...2 {
                try await sent.moves(at: copies)
                try await host.stopDaemon(signal: "KILL")
                try await sent.moves(at: copies)
                try await host.startDaemon()
            }
            try await host.wait(for: "web1", "is known with its domain") { $0.state == .active && $0.running == true }
            try await sent.moves(at: copies)
            try await sent.stop()
            try await received.stop()
            for flow in [sent, received] {
                try await eventually("the copy is whole") { try flow.frames(in: copies) == flow.frames(in: original) }
                let numbers = try flow.numbers(in: copies)
                #expect(numbers == Array(1...numbers.count))
            }
            let after = try await tapped()
            #expect(after.since == before.since)
            #expect(try #require(after.outbound).copied.packets >= UInt64(sent.numbers(in: copies).count))
            #expect(try host.pins() == pins)
            #expect(try await tc("filter", "ingress") + tc("filter", "egress") == filters)
            for sensor in [copies, original] { #expect(try await sensor.stop() == 0) }
            try await web1.removeMetadata()
            try await leavesNothing()
        }

        @Test func anotherMechanismIsTakenAtAReload() async throws {
            let copies = try await Sensor(host.lab, at: "ids1")
            let original = try await Sensor(host.lab, at: Self.device, direction: "inout")
            try await web1.setMetadata("<tap to='ids'/>")
            #expect(try await tapped().mechanism == .clsact)
            let sent = try await Flow.start(web1, to: "192.0.2.12")
            for mechanism in [Mechanism.tcx, .clsact] {
                try await sent.moves(at: copies)
                try await host.reload(mechanism == .tcx ? TappedHost.configuration : TappedHost.byClsact)
                try await host.wait(for: "web1", "by \(mechanism)") { $0.interfaces.first?.mechanism == mechanism && $0.state == .active }
                #expect(try await tc("qdisc").contains("clsact") == (mechanism == .clsact))
            }
            try await sent.moves(at: copies)
            try await sent.stop()
            // It is made again, so that some are missing; but none is there twice, and the guest lost none.
            let copied = try sent.numbers(in: copies)
            #expect(copied == Set(copied).sorted())
            let numbers = try sent.numbers(in: original)
            #expect(numbers == Array(1...numbers.count))
            for sensor in [copies, original] { #expect(try await sensor.stop() == 0) }
            try await web1.removeMetadata()
            try await leavesNothing()
        }

        @Test func whatSomebodyRemovesIsPutBack() async throws {
            let copies = try await Sensor(host.lab, at: "ids1")
            try await web1.setMetadata("<tap to='ids'/>")
            let before = try await tapped()
            let blows = [["filter", "del", "dev", Self.device, "ingress"], ["qdisc", "del", "dev", Self.device, "clsact"]]
            for (count, blow) in blows.enumerated() {
                try await host.lab.succeed("tc", blow[0], blow[1], blow[2], blow[3], blow[4])
                try await eventually("the log tells of it") { puttingBack == count + 1 }
                #expect(host.lab.log("virt-tapd").components(separatedBy: "somebody removed the tap's program").count - 1 >= count + 1)
                #expect(try await tapped().position == 0)
                let sent = try await Flow.send(50, from: web1, to: "192.0.2.12")
                try await sent.isComplete(at: copies, 50)
                let received = try await Flow.send(50, from: web2, to: "192.0.2.11")
                try await received.isComplete(at: copies, 50)
            }
            let after = try await tapped()
            #expect(after.since == before.since)
            #expect(try await host.tap(of: "web1")?.warnings.contains { $0.reason == .qdiscConflict } == true)
            #expect(try #require(after.inbound).copied.packets >= 100)
            #expect(try await copies.stop() == 0)
            try await web1.removeMetadata()
            try await leavesNothing()
        }

        /// Ours goes behind a classifier of another kind at its priority, and before any other; all of them stay.
        @Test func foreignFiltersStayWhereTheyAre() async throws {
            try await host.lab.succeed("tc", "qdisc", "add", "dev", Self.device, "clsact")
            func add(_ priority: Int) async throws {
                try await host.lab.succeed(
                    "tc", "filter", "add", "dev", Self.device, "ingress", "prio", "\(priority)", "protocol", "all", "u32", "match", "u32",
                    "0", "0", "classid", "1:\(priority)")
            }
            let copies = try await Sensor(host.lab, at: "ids1")
            try await add(5)
            for isFirst in [true, false] {
                if !isFirst { try await add(1) }
                let foreign = try await tc("filter", "ingress")
                try await web1.setMetadata("<tap to='ids'/>")
                let tap = try await host.wait(for: "web1")
                #expect(tap.interfaces.first?.position == (isFirst ? 0 : 1))
                #expect(tap.warnings.contains { $0.reason == .notFirst } == !isFirst)
                let flow = try await Flow.send(50, from: web1, to: "192.0.2.12")
                // A classifier that is before ours and knows the frame ends the chain: nothing is left for us to see.
                if isFirst { try await flow.isComplete(at: copies, 50) } else { #expect(try flow.numbers(in: copies).isEmpty) }
                try await web1.removeMetadata()
                try await host.waitForEnd(of: "web1")
                #expect(try await tc("filter", "ingress") == foreign)
                #expect(try await tc("qdisc").contains("clsact"))
            }
            try await host.lab.succeed("tc", "qdisc", "del", "dev", Self.device, "clsact")
            #expect(try await copies.stop() == 0)
            try await leavesNothing()
        }

        /// What a guest sends is copied from an `ingress` qdisc, for which libvirt puts its own, with its limit on it.
        @Test func anOutboundTapMakesRoomForLibvirtsLimit() async throws {
            let copies = try await Sensor(host.lab, at: "ids1")
            try await web1.setMetadata("<tap to='ids' direction='outbound'/>")
            let before = try await tapped()
            #expect(try await tc("qdisc").contains("qdisc ingress"))
            #expect(try await host.tap(of: "web1")?.warnings.contains { $0.reason == .qdiscConflict } == false)
            // As libvirt does it, but for the policer, which this kernel may not have.
            try await host.lab.succeed("tc", "qdisc", "del", "dev", Self.device, "ingress")
            try await host.lab.succeed("tc", "qdisc", "add", "dev", Self.device, "ingress")
            try await host.lab.succeed(
                "tc", "filter", "add", "dev", Self.device, "parent", "ffff:", "protocol", "all", "u32", "match", "u32", "0", "0", "flowid",
                ":1")
            let limit = try await filtersOfOthers()
            try await eventually("the tap is put back") { puttingBack > 0 }
            #expect(try await tapped().position == 0)
            let flow = try await Flow.send(50, from: web1, to: "192.0.2.12")
            try await flow.isComplete(at: copies, 50)
            #expect(try await tapped().since == before.since)
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1")
            #expect(try await tc("filter", "ingress").contains("virt_tap") == false)
            #expect(try await filtersOfOthers() == limit)
            try await host.lab.succeed("tc", "qdisc", "del", "dev", Self.device, "ingress")
            #expect(try await copies.stop() == 0)
            try await leavesNothing()
        }

        // MARK: - What the tests ask

        /// web1's one tapped interface, once it is.
        private func tapped() async throws -> InterfaceStatus {
            let tap = try await host.wait(for: "web1", "is active") { $0.state == .active }
            return try #require(tap.interfaces.first)
        }

        private func tc(_ what: String, _ hook: String...) async throws -> String {
            try await host.lab.run(["tc", what, "show", "dev", Self.device] + hook).text
        }

        /// How often the daemon has put something back in this test.
        private var puttingBack: Int { Self.puttingBack(host) - earlier }

        private static func puttingBack(_ host: TappedHost) -> Int {
            host.lab.log("virt-tapd").components(separatedBy: ": put back").count - 1
        }

        private func leavesNothing() async throws {
            try await host.waitForEnd(of: "web1")
            #expect(try host.pins().isEmpty)
            #expect(try await !tc("qdisc").contains("ffff:"))
        }
    }
}

extension TappedHost {
    fileprivate static let byClsact = configuration.replacingOccurrences(
        of: "<virt-tap>", with: "<virt-tap><mechanism name='clsact'/>")
}
