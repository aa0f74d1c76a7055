// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import DataplaneTestSupport
import Foundation
import TapModel
import Testing

@testable import Dataplane

extension KernelSuite {
    @Suite("What a call asks of the kernel")
    struct CostTests {
        /// The calls that `body` makes.
        private func calls(_ dataplane: KernelDataplane, _ body: () throws -> Void) rethrows -> [KernelCall] {
            var calls: [KernelCall] = []
            dataplane.kernel.fault = {
                calls.append($0)
                return nil
            }
            defer { dataplane.kernel.fault = nil }
            try body()
            return calls
        }

        @Test("Reading one attachment costs the same however many there are, and others' programs", arguments: Mechanism.here)
        func readsOne(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach()
            func cost(_ desired: DesiredAttachment) throws -> Int {
                // The first look learns whose what is new there is.
                _ = try tapped.dataplane.attachment(desired.key.id)
                var observed: ObservedAttachment?
                let count = try calls(tapped.dataplane) { observed = try tapped.dataplane.attachment(desired.key.id) }.count
                #expect(observed?.satisfies(desired) == true)
                return count
            }
            let alone = try cost(desired)
            for number in 0..<8 { try tapped.attach(tap: "other\(number)") }
            let foreign = try ForeignProgram()
            if mechanism == .tcx {
                try foreign.attach(to: tapped.bench.guest.index, egress: false, first: true)
                #expect(try cost(desired) == alone)
                #expect(
                    try tapped.dataplane.attachment(desired.key.id)?.hooks[.outbound] == .attached(position: 9, foreignAhead: 1))
                // This one does not know which programs are ours.
                #expect(
                    try KernelDataplane(bpffs: tapped.bench.bpffs).attachment(desired.key.id)?.hooks[.outbound]
                        == .attached(position: 9, foreignAhead: 1))
            } else {
                // Of filters, too, the newest runs first.
                #expect(try cost(desired) == alone)
                #expect(
                    try tapped.dataplane.attachment(desired.key.id)?.hooks[.outbound] == .attached(position: 8, foreignAhead: 0))
            }
        }

        @Test("What is looked at every second costs one call a direction, and misses nobody who interferes", arguments: Mechanism.here)
        func looksAfter(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach()
            let observed = try #require(try tapped.dataplane.attachment(desired.key.id))
            var isUndisturbed = false
            let looking = try calls(tapped.dataplane) { isUndisturbed = try tapped.dataplane.isUndisturbed(observed) }
            #expect(isUndisturbed)
            if mechanism == .tcx { #expect(looking == [.queryHook, .queryHook]) }
            // Another tap comes first by right; where this one stands is read anew.
            try tapped.attach(tap: "newer")
            #expect(try !tapped.dataplane.isUndisturbed(observed))
            let moved = try #require(try tapped.dataplane.attachment(desired.key.id))
            #expect(try tapped.dataplane.isUndisturbed(moved))
            // Somebody takes one direction away.
            let pins = tapped.dataplane.pins
            if mechanism == .tcx {
                try tapped.dataplane.kernel.unlink(pins.link(desired.key.id, .inbound))
            } else {
                try run("tc", "filter", "del", "dev", tapped.bench.guest.name, "egress")
            }
            // A link that nobody holds any more is released by a worker of the kernel's.
            for _ in 0..<200 where try tapped.dataplane.isUndisturbed(moved) { usleep(10_000) }
            #expect(try !tapped.dataplane.isUndisturbed(moved))
            let robbed = try #require(try tapped.dataplane.attachment(desired.key.id))
            #expect(robbed.hooks[.inbound] == .detached)
            // What is known to be missing is no news.
            #expect(try tapped.dataplane.isUndisturbed(robbed))
        }

        @Test("The verifier walks the program once and not once for each way through it", arguments: Mechanism.here)
        func isVerifiedQuickly(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach()
            let program = try #require(try tapped.dataplane.openProgram(desired.key.id, .outbound))
            var information = bpf_prog_info()
            #expect(clibbpf_program_info(program.descriptor, &information) == 0)
            // Some 3,500 on Linux 6.18, more on 6.1; 51,675 for one with snaplen="headers" before parsing was a function of its own.
            #expect((1..<10_000).contains(information.verified_insns), "\(information.verified_insns) instructions")
        }

        @Test("The relay's program, too", arguments: Mechanism.here)
        func relayIsVerifiedQuickly(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            try tapped.attach { $0.snaplen = .headers }
            for end in RelayEnd.allCases {
                let program = try #require(try tapped.dataplane.kernel.open(tapped.dataplane.pins.relay(end), CLIBBPF_PROGRAM))
                var information = bpf_prog_info()
                #expect(clibbpf_program_info(program.descriptor, &information) == 0)
                // 9,546 on Linux 6.18; 164,205 before a part of a sum was a function of its own.
                #expect((1..<30_000).contains(information.verified_insns), "\(information.verified_insns) instructions")
            }
        }

        @Test("For a device that is gone nothing is loaded or pinned", arguments: Mechanism.here)
        func stopsWithoutDevice(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let name = "gone\(tapped.bench.number)"
            try ip("link add \(name) type veth peer name far\(tapped.bench.number)\n")
            var desired = try tapped.desired()
            desired.interface.device = name
            desired.key.ifindex = if_nametoindex(name)
            try tapped.dataplane.attach(desired, at: TappedBench.now)
            let attached = try #require(try tapped.dataplane.attachment(desired.key.id))
            try ip("link del \(name)\n")
            let observed = try #require(try tapped.dataplane.attachment(desired.key.id))
            #expect(observed.isDead)
            #expect(try !tapped.dataplane.isUndisturbed(attached))
            let replacing = calls(tapped.dataplane) {
                #expect(#expect(throws: Failure.self) { try tapped.dataplane.replace(desired, at: TappedBench.now) }?.reason == .deviceGone)
            }
            #expect(Set(replacing).isSubset(of: [.open]))
            try tapped.dataplane.detach(desired.key.id)
            let attaching = calls(tapped.dataplane) {
                #expect(#expect(throws: Failure.self) { try tapped.dataplane.attach(desired, at: TappedBench.now) }?.reason == .deviceGone)
            }
            #expect(Set(attaching).isSubset(of: [.open]))
        }
    }
}
