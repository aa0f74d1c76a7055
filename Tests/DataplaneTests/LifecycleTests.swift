// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import DataplaneTestSupport
import Foundation
import Synchronization
import TapModel
import Testing

@testable import Dataplane

extension KernelSuite {
    @Suite("Adopting, replacing, detaching")
    struct LifecycleTests {
        @Test("A restart adopts what is pinned, with its counters", arguments: Mechanism.here)
        func adopts(_ mechanism: Mechanism) throws {
            var tapped = try TappedBench(mechanism)
            let desired = try tapped.attach()
            let (first, _) = try tapped.exchange(5)
            tapped.dataplane = KernelDataplane(bpffs: tapped.bench.bpffs)
            let (second, areWhole) = try tapped.exchange(5, from: 10)
            #expect(areWhole)
            #expect(tapped.bench.sensor.receive(20) == first + second)
            let adopted = try #require(try tapped.dataplane.attachments().first)
            #expect(adopted.satisfies(desired))
            #expect(adopted.spec?.since == TappedBench.now)
            #expect(adopted.spec?.build == KernelDataplane.build)
            #expect(try tapped.counters(desired)[.outbound]?.copied.packets == 10)
            #expect(try tapped.dataplane.destinations().first?.sent.packets == 20)
        }

        @Test("Maps of another layout are made anew, and attachments that use the former maps are recognised")
        func replacesOldMaps() throws {
            let tapped = try TappedBench(Mechanism.here[0])
            let desired = try tapped.attach()
            // Labels were at 8 in the first version, and then at 40 of the same 128 bytes.
            let path = tapped.bench.bpffs + "/virt-tap/1/destinations"
            let old = bpf_map_create(BPF_MAP_TYPE_ARRAY, "virt_tap_dests", 4, 128, 1_024, nil)
            defer { close(old) }
            try #require(old >= 0 && unlink(path) == 0 && bpf_obj_pin(old, path) == 0)
            #expect(try tapped.dataplane.destinations() == [])
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == false)
            #expect(try tapped.dataplane.setDestination("ids", kind: .interface, ifindex: tapped.bench.destinationIndex, rate: nil))
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == false)
            try tapped.dataplane.replace(desired, at: TappedBench.now)
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true)
            let (sent, areWhole) = try tapped.exchange(5)
            #expect(areWhole)
            #expect(tapped.bench.sensor.receive(10) == sent)
            #expect(try tapped.dataplane.destinations().map(\.sent.packets) == [10])
        }

        @Test("Replacing in place under traffic loses no copy and doubles none", arguments: Mechanism.here)
        func replacesUnderTraffic(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let bench = tapped.bench
            let desired = try tapped.attach()

            let sender = SendingThread(bench.guest)
            for round in 0..<(KernelSuite.isEmulated ? 8 : 40) {
                var next = desired
                // Other options each time, so that another program is loaded.
                // The first one is what an earlier version had.
                next.options.mark = round.isMultiple(of: 2) ? PacketMark(value: 0x2000, mask: 0x2000) : PacketMark()
                try tapped.dataplane.replace(next, at: Timestamp(seconds: 1_900_000_000))
            }
            let sent = try sender.stop()
            #expect(sent > 100)
            let copies = bench.sensor.receive(sent)
            #expect(copies == (0..<sent).map { FrameBuilder.udp($0) })
            let observed = try #require(try tapped.dataplane.attachment(desired.key.id))
            #expect(observed.satisfies(desired))
            #expect(observed.spec?.since == TappedBench.now)
            #expect(try tapped.counters(desired)[.outbound]?.copied.packets == UInt64(sent))
        }

        @Test("Directions are added and removed in place; the other one goes on", arguments: Mechanism.here)
        func changesDirections(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            try tapped.attach(.outbound)
            for (direction, expected) in [(TapDirection.both, 8), (.inbound, 4), (.both, 8), (.outbound, 4)] {
                let desired = try tapped.desired(direction)
                try tapped.dataplane.replace(desired, at: TappedBench.now)
                #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true)
                #expect(try tapped.exchange(4).areWhole)
                #expect(tapped.bench.sensor.receive(expected).count == expected)
            }
            let counters = try tapped.counters(try tapped.desired())
            #expect(counters[.outbound]?.copied.packets == 12)
            #expect(counters[.inbound] == nil)
        }

        @Test(
            "From one mechanism to the other", .enabled(if: Mechanism.here.contains(.tcx), "TCX needs Linux 6.6"),
            arguments: Mechanism.here)
        func changesMechanism(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            try tapped.attach()
            var desired = try tapped.desired()
            desired.mechanism = mechanism == .tcx ? .clsact : .tcx
            try tapped.dataplane.replace(desired, at: TappedBench.now)
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true)
            let (sent, areWhole) = try tapped.exchange(4)
            #expect(areWhole)
            #expect(tapped.bench.sensor.receive(8) == sent)
            #expect(try run("tc", "qdisc", "show", "dev", tapped.bench.guest.name).contains("clsact") == (mechanism == .tcx))
            try tapped.dataplane.detach(desired.key.id)
            #expect(try tapped.exchange(4).areWhole)
            #expect(tapped.bench.sensor.receive(within: 300) == nil)
        }

        @Test("Detaching ends copying at once and leaves nothing of the attachment", arguments: Mechanism.here)
        func detaches(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach()
            try tapped.dataplane.detach(desired.key.id)
            try tapped.dataplane.detach(desired.key.id)
            #expect(try tapped.exchange(4).areWhole)
            #expect(tapped.bench.sensor.receive(within: 300) == nil)
            #expect(try tapped.dataplane.attachments() == [])
            #expect(try tapped.dataplane.attachment(desired.key.id) == nil)
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: "\(tapped.bench.bpffs)/virt-tap/1").sorted() == [
                    "backlogs", "destination-counters", "destination-rates", "destinations", "hops", "last-copies", "sequences", "tunnels",
                ])
            #expect(try run("tc", "qdisc", "show", "dev", tapped.bench.guest.name).contains("clsact") == false)

            try tapped.dataplane.forgetDestination("ids")
            #expect(try tapped.dataplane.destinations() == [])
        }

        @Test("A device that is gone leaves dead pins, which are reported and removed", arguments: Mechanism.here)
        func collectsDeadPins(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            try ip("link add short\(tapped.bench.number) type veth peer name other\(tapped.bench.number)\n")
            var desired = try tapped.desired()
            desired.interface.device = "short\(tapped.bench.number)"
            desired.key.ifindex = if_nametoindex(desired.interface.device)
            try tapped.dataplane.attach(desired, at: TappedBench.now)
            try ip("link del short\(tapped.bench.number)\n")
            let observed = try #require(try tapped.dataplane.attachments().first)
            #expect(observed.isDead)
            #expect(observed.hooks == [.inbound: .deviceGone, .outbound: .deviceGone])
            #expect(observed.spec?.key == desired.key)
            try tapped.dataplane.detach(desired.key.id)
            #expect(try tapped.dataplane.attachments() == [])

            let failure = #expect(throws: Failure.self) { try tapped.dataplane.attach(desired, at: TappedBench.now) }
            #expect(failure?.reason == .deviceGone)
            #expect(try tapped.dataplane.attachments() == [])
        }

        @Test("What somebody else removed shows as detached, and a replacement puts it back first", arguments: Mechanism.here)
        func putsBack(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach()
            if mechanism == .tcx {
                let link = bpf_obj_get("\(tapped.bench.bpffs)/virt-tap/1/\(desired.key.id)/link-outbound")
                #expect(bpf_link_detach(link) == 0)
                close(link)
            } else {
                try run("tc", "filter", "del", "dev", tapped.bench.guest.name, "ingress")
            }
            #expect(try tapped.dataplane.attachment(desired.key.id)?.hooks[.outbound] == .detached)
            #expect(try tapped.dataplane.attachment(desired.key.id)?.hooks[.inbound] == .attached(position: 0, foreignAhead: 0))
            try tapped.dataplane.replace(desired, at: TappedBench.now)
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true)
            let (sent, areWhole) = try tapped.exchange(4)
            #expect(areWhole)
            #expect(tapped.bench.sensor.receive(8) == sent)
        }

        @Test("Purge removes all, of other layouts too, and nothing else", arguments: Mechanism.here)
        func purges(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            try tapped.attach(tap: "first")
            try tapped.attach(tap: "second")
            let stranger = bpf_map_create(BPF_MAP_TYPE_ARRAY, "stranger", 4, 4, 1, nil)
            #expect(bpf_obj_pin(stranger, "\(tapped.bench.bpffs)/stranger") == 0)
            let newer = "\(tapped.bench.bpffs)/virt-tap/2/\(try tapped.desired().key.id)"
            try FileManager.default.createDirectory(atPath: newer, withIntermediateDirectories: true)
            #expect(bpf_obj_pin(stranger, newer + "/counters") == 0)
            close(stranger)
            #expect(try tapped.dataplane.attachments().count == 2)

            #expect(try tapped.dataplane.purge() == 3)
            #expect(try FileManager.default.contentsOfDirectory(atPath: tapped.bench.bpffs) == ["stranger"])
            #expect(try tapped.exchange(3).areWhole)
            #expect(tapped.bench.sensor.receive(within: 300) == nil)
            #expect(try tapped.dataplane.purge() == 0)
        }

        @Test("Junk among the pins is not ours, and half-made attachments can be detached")
        func toleratesJunk() throws {
            let tapped = try TappedBench(Mechanism.here[0])
            let desired = try tapped.attach()
            let layout = "\(tapped.bench.bpffs)/virt-tap/1"
            let map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "junk", 4, 8, 1, nil)
            defer { close(map) }
            #expect(bpf_obj_pin(map, "\(layout)/junk") == 0)
            try FileManager.default.createDirectory(atPath: "\(layout)/elsewhere", withIntermediateDirectories: false)
            let half = try tapped.desired(tap: "half").key.id
            try FileManager.default.createDirectory(atPath: "\(layout)/\(half)", withIntermediateDirectories: false)
            for name in ["spec", "link-inbound", "program-inbound"] { #expect(bpf_obj_pin(map, "\(layout)/\(half)/\(name)") == 0) }

            let observed = try tapped.dataplane.attachments()
            #expect(Set(observed.map(\.id)) == [desired.key.id, half])
            let broken = try #require(observed.first { $0.id == half })
            #expect(broken.spec == nil)
            #expect(!broken.isCurrentBuild)
            #expect(try tapped.dataplane.counters(of: half) == [:])
            // What is half made is no obstacle.
            try tapped.attach(tap: "half")
            #expect(try tapped.dataplane.attachment(half)?.satisfies(try tapped.desired(tap: "half")) == true)
            try tapped.dataplane.detach(half)
            #expect(try tapped.dataplane.attachments().map(\.id) == [desired.key.id])
            #expect(FileManager.default.fileExists(atPath: "\(layout)/junk"))
        }

        @Test("A later version's spec is distinguished from none, and from half of one")
        func tellsLaterSpecs() throws {
            let tapped = try TappedBench(Mechanism.here[0])
            let id = try tapped.attach().key.id
            let kernel = Kernel()
            let path = "\(tapped.bench.bpffs)/virt-tap/1/\(id)/spec"
            for (text, isOfLaterVersion) in [("{\"key\":1}", true), ("{\"key\":", false), ("[]", false)] {
                let json = Array(text.utf8)
                let map = try kernel.createArray("virt_tap_spec", valueSize: UInt32(json.count), entries: 1, readOnlyForPrograms: true)
                try kernel.write(json, to: map, at: 0)
                try kernel.freeze(map)
                try kernel.unlink(path)
                try kernel.pin(map, at: path)
                let observed = try #require(try tapped.dataplane.attachment(id))
                #expect(observed.spec == nil && observed.isOfLaterVersion == isOfLaterVersion, "\(text)")
            }
            try tapped.dataplane.detach(id)
        }

        @Test("Directories of pins are for root alone")
        func hidesPins() throws {
            let tapped = try TappedBench(Mechanism.here[0])
            let desired = try tapped.attach()
            for path in ["virt-tap", "virt-tap/1", "virt-tap/1/\(desired.key.id)"] {
                let attributes = try FileManager.default.attributesOfItem(atPath: "\(tapped.bench.bpffs)/\(path)")
                #expect(attributes[.posixPermissions] as? Int == 0o700)
            }
        }
    }
}

/// A guest that sends numbered frames until it is stopped.
private final class SendingThread: Sendable {
    private let isStopped = Atomic(false)
    private let isDone = DispatchSemaphore(value: 0)
    private let count = Mutex<Result<Int, any Error>>(.success(0))

    init(_ guest: TapDevice) {
        Thread.detachNewThread { [self] in
            let result = Result {
                var number = 0
                while !isStopped.load(ordering: .relaxed) {
                    try guest.write(FrameBuilder.udp(number))
                    number += 1
                    if number.isMultiple(of: 16) { usleep(100) }
                }
                return number
            }
            count.withLock { $0 = result }
            isDone.signal()
        }
    }

    /// - Returns: how many frames were sent.
    func stop() throws -> Int {
        isStopped.store(true, ordering: .relaxed)
        isDone.wait()
        return try count.withLock { try $0.get() }
    }
}
