// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import DataplaneTestSupport
import Foundation
import TapModel
import Testing

@testable import Dataplane

extension KernelSuite {
    @Suite("Pins that were lost")
    struct LostPinTests {
        private static let later = Timestamp(seconds: 1_900_000_000)

        private func filters(_ tapped: TappedBench) throws -> [TrafficControl.Filter] {
            try Direction.allCases.flatMap {
                try TrafficControl.readFilters(HookPoint($0, ifindex: tapped.bench.guest.index, isMacvtap: false), Kernel())
            }.filter { $0.handle != 0 }
        }

        private func waitUntilUnlinked(_ tapped: TappedBench) throws {
            for direction in Direction.allCases {
                let point = HookPoint(direction, ifindex: tapped.bench.guest.index, isMacvtap: false)
                for _ in 0..<3_000 where try !TCXHook.readChain(point, Kernel()).isEmpty { usleep(10_000) }
            }
        }

        private func lose(_ tapped: TappedBench, _ paths: String...) throws {
            for path in paths { try run("rm", "-r", "\(tapped.bench.bpffs)/virt-tap\(path)") }
        }

        /// A filter with a handle like ours, of another program.
        private func neighbour(_ tapped: TappedBench) throws -> ForeignProgram {
            let foreign = try ForeignProgram()
            try foreign.attachFilter(to: tapped.bench.guest.index, egress: false, priority: 1, handle: 0x7674_0099)
            return foreign
        }

        @Test(
            "Purge ends copying whose pins are all lost, with the unit's rights and with all of root's", arguments: Mechanism.here,
            [true, false])
        func purgesWithoutPins(_ mechanism: Mechanism, isRoot: Bool) throws {
            let tapped = try TappedBench(mechanism)
            try tapped.attach()
            let foreign = mechanism == .clsact ? try neighbour(tapped) : nil
            try lose(tapped, "")
            if mechanism == .clsact { #expect(try filters(tapped).count == 3) }
            // Only with CAP_SYS_ADMIN can it know a program by its id, as "virt-tap purge" does and the daemon does not.
            var identified = 0
            tapped.dataplane.kernel.fault = {
                if $0 == .identify { identified += 1 }
                return nil
            }
            let purge = { try tapped.dataplane.purge() }
            #expect(try (isRoot ? UnitRights.withEverything(purge) : purge()) == (mechanism == .clsact ? 1 : 0))
            tapped.dataplane.kernel.fault = nil
            if mechanism == .clsact { #expect(identified > 0) }
            #expect(try filters(tapped).compactMap(\.program) == (foreign.map { [$0.id] } ?? []))
            // A link that nobody holds any more is released by a worker of the kernel's.
            if mechanism == .tcx { try waitUntilUnlinked(tapped) }
            #expect(try tapped.exchange(3).areWhole)
            #expect(tapped.bench.sensor.receive(within: 300) == nil)
        }

        @Test("Without its spec an attachment can still be detached, and purged", arguments: Mechanism.here, [true, false])
        func detachesWithoutSpec(_ mechanism: Mechanism, byPurge: Bool) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach()
            let other = byPurge ? nil : try tapped.attach(tap: "other")
            try lose(tapped, "/1/\(desired.key.id)/spec")
            #expect(try tapped.dataplane.attachment(desired.key.id)?.spec == nil)
            if byPurge { _ = try tapped.dataplane.purge() } else { try tapped.dataplane.detach(desired.key.id) }
            if let other { #expect(try tapped.dataplane.attachment(other.key.id)?.satisfies(other) == true) }
            #expect(try tapped.exchange(3).areWhole)
            #expect(tapped.bench.sensor.receive(byPurge ? 1 : 7).count == (byPurge ? 0 : 6))
            if let other { try tapped.dataplane.detach(other.key.id) }
            #expect(try filters(tapped) == [])
            #expect(try TrafficControl.readIngressQdisc(tapped.bench.guest.index, Kernel()) == nil)
        }

        @Test("Who has the claim removes filters whose pins are lost, and no others")
        func sweepsOrphans() throws {
            let tapped = try TappedBench(.clsact)
            let desired = try tapped.attach()
            let kept = try tapped.attach(tap: "kept")
            let foreign = try neighbour(tapped)
            try lose(tapped, "/1/\(desired.key.id)")
            #expect(try tapped.dataplane.attachments().map(\.id) == [kept.key.id])
            #expect(try filters(tapped).count == 5)

            try tapped.dataplane.lock()
            #expect(try tapped.dataplane.attachments().map(\.id) == [kept.key.id])
            #expect(try tapped.dataplane.attachments().first?.satisfies(kept) == true)
            #expect(try filters(tapped).count == 3)
            #expect(try filters(tapped).contains { $0.program == foreign.id })
            #expect(try tapped.exchange(3).areWhole)
            #expect(tapped.bench.sensor.receive(7).count == 6)
        }

        @Test("What is attached anew after its pins were lost copies once", arguments: Mechanism.here)
        func attachesAnew(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            try tapped.attach()
            try lose(tapped, "")
            try tapped.dataplane.setDestination("ids", kind: .interface, ifindex: tapped.bench.destinationIndex)
            let desired = try tapped.attach()
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true)
            #expect(try tapped.exchange(3).areWhole)
            #expect(tapped.bench.sensor.receive(7).count == 6)
            #expect(try tapped.counters(desired)[.outbound]?.copied.packets == 3)
        }

        @Test(
            "Programs whose maps are no longer those that are pinned are replaced in place", arguments: Mechanism.here,
            ["destinations", "destination-counters", "counters", "program-inbound"])
        func replacesWhatCountsUnseen(_ mechanism: Mechanism, lost: String) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach()
            let isShared = lost.hasPrefix("destination")
            try lose(tapped, isShared ? "/1/\(lost)" : "/1/\(desired.key.id)/\(lost)")
            for isMadeAnew in [false, true] {
                if isMadeAnew {
                    try tapped.dataplane.setDestination("ids", kind: .interface, ifindex: tapped.bench.destinationIndex)
                }
                for observed in [try tapped.dataplane.attachment(desired.key.id), try tapped.dataplane.attachments().first] {
                    #expect(observed?.spec != nil)
                    #expect(observed?.satisfies(desired) == false)
                    #expect(observed?.hooks.values.allSatisfy { $0 == .attached(position: 0, foreignAhead: 0) } == true)
                }
            }
            try tapped.dataplane.replace(desired, at: Self.later)
            let observed = try tapped.dataplane.attachment(desired.key.id)
            #expect(observed?.satisfies(desired) == true)
            #expect(observed?.spec?.since == (lost == "counters" ? Self.later : TappedBench.now))
            #expect(try tapped.exchange(3).areWhole)
            #expect(tapped.bench.sensor.receive(7).count == 6)
            #expect(try tapped.counters(desired)[.inbound]?.copied.packets == 3)
            #expect(try tapped.dataplane.destinations().first?.sent.packets == 6)
        }

        @Test(
            "So are those without any other map that all share",
            arguments: ["destination-rates", "tunnels", "backlogs", "hops"])
        func noticesEachSharedMap(_ lost: String) throws {
            let tapped = try TappedBench(try #require(Mechanism.here.first))
            let desired = try tapped.attach()
            try lose(tapped, "/1/\(lost)")
            try tapped.dataplane.setDestination("ids", kind: .interface, ifindex: tapped.bench.destinationIndex)
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == false)
            try tapped.dataplane.replace(desired, at: Self.later)
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true)
        }

        @Test("Other counters pinned in place of an attachment's show, too", arguments: Mechanism.here)
        func seesExchangedCounters(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let (first, second) = (try tapped.attach(), try tapped.attach(tap: "second"))
            let layout = "\(tapped.bench.bpffs)/virt-tap/1"
            try lose(tapped, "/1/\(first.key.id)/counters")
            let map = bpf_obj_get("\(layout)/\(second.key.id)/counters")
            #expect(bpf_obj_pin(map, "\(layout)/\(first.key.id)/counters") == 0)
            close(map)
            #expect(try tapped.dataplane.attachment(first.key.id)?.satisfies(first) == false)
            #expect(try tapped.dataplane.attachment(second.key.id)?.satisfies(second) == true)
            try tapped.dataplane.replace(first, at: Self.later)
            #expect(try tapped.dataplane.attachment(first.key.id)?.satisfies(first) == true)
            #expect(try tapped.dataplane.attachment(first.key.id)?.spec?.since == Self.later)
        }
    }
}
