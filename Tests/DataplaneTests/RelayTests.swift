// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import CLibmnl
import Dataplane
import DataplaneTestSupport
import Glibc
import TapModel
import Testing

extension KernelSuite {
    @Suite("The relay")
    struct RelayTests {
        private func gsoPacket(_ tapped: TappedBench) throws {
            try tapped.bench.guest.write(
                FrameBuilder.tcp(payload: 20_000),
                TapDevice.Offload(type: 1, segmentSize: 1_448, headerLength: 66, checksumStart: 34, checksumOffset: 16))
        }

        @Test("Without its programs nothing gets back into the guests' path", arguments: Mechanism.here, [false, true])
        func losesPrograms(_ mechanism: Mechanism, _ losesBoth: Bool) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach { $0.snaplen = .bytes(64) }
            try run("tc", "qdisc", "del", "dev", "virttap-cut", "clsact")
            if losesBoth { try run("tc", "qdisc", "del", "dev", "virttap-cut-in", "clsact") }
            let (sent, areWhole) = try tapped.exchange(5)
            #expect(areWhole)
            // Not once more than that, to nobody.
            #expect(tapped.bench.peer.receive(within: 200) == nil && tapped.bench.guest.read(within: 200) == nil)
            // The other end cuts what this one did not.
            #expect(tapped.bench.sensor.receive(losesBoth ? 1 : 10) == (losesBoth ? [] : sent.map { Array($0.prefix(64)) }))
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == false)
            try tapped.dataplane.replace(desired, at: TappedBench.now)
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true)
            let (more, _) = try tapped.exchange(5, from: 5)
            #expect(tapped.bench.sensor.receive(10) == more.map { Array($0.prefix(64)) })
        }

        @Test("With offloads again no GSO packet becomes one short frame, and they are ended again", arguments: Mechanism.here)
        func hasOffloads(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism, withHeader: true)
            let desired = try tapped.attach(.outbound) { $0.snaplen = .bytes(128) }
            try setOffloads(of: "virttap-cut", to: 1)
            try gsoPacket(tapped)
            #expect(tapped.bench.sensor.receive(within: 300) == nil)
            #expect(try tapped.dataplane.destinations().map(\.sent) == [Counter()])
            let record = try #require(try tapped.dataplane.destinations().first)
            #expect(record.errors.packets != 0 && record.lastError != nil)
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == false)
            try tapped.dataplane.replace(desired, at: TappedBench.now)
            try gsoPacket(tapped)
            #expect(tapped.bench.sensor.receive(14).map(\.count) == [Int](repeating: 128, count: 14))
        }

        @Test("One end that was renamed, or is another's: made again, or left alone", arguments: Mechanism.here)
        func losesAnEnd(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach(.outbound) { $0.snaplen = .bytes(64) }
            try ip("link set virttap-cut-in down\nlink set virttap-cut-in name elsewhere\n")
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == false)
            try tapped.dataplane.replace(desired, at: TappedBench.now)
            #expect(if_nametoindex("elsewhere") == 0, "the end of a pair goes with the other")
            let (sent, _) = try tapped.exchange(3)
            #expect(tapped.bench.sensor.receive(3) == sent.prefix(3).map { Array($0.prefix(64)) })
            try tapped.dataplane.detach(desired.key.id)
            // Down and without an alias, as one of ours that was cut off would be; but of another kind.
            try ip("link add virttap-cut type bridge\n")
            #expect(throws: Failure.self) { try tapped.attach { $0.snaplen = .bytes(64) } }
            _ = try tapped.dataplane.purge()
            #expect(if_nametoindex("virttap-cut") != 0)
            try ip("link del virttap-cut\n")
        }

        @Test("On a macvtap a tag among the bytes counts, also when the kernel keeps it in skb metadata", arguments: Mechanism.here)
        func countsTag(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let number = tapped.bench.number
            try ip(
                """
                link add low\(number) type veth peer name lowpeer\(number)
                link set low\(number) up
                link set lowpeer\(number) up
                link add link low\(number) name mvt\(number) address 52:54:00:12:34:56 type macvtap mode bridge
                link set mvt\(number) up

                """)
            defer {
                _ = try? run("ip", "link", "del", "low\(number)")
                _ = try? tapped.dataplane.purge()
            }
            let guest = try TapDevice(macvtap: "mvt\(number)")
            var desired = try tapped.desired(.outbound) { $0.snaplen = .bytes(128) }
            desired.key.ifindex = guest.index
            desired.interface.device = guest.name
            desired.interface.isMacvtap = true
            try tapped.dataplane.attach(desired, at: TappedBench.now)
            let frame = FrameBuilder.tcp(payload: 4_344, tags: [7])
            try guest.write(
                frame, TapDevice.Offload(type: 1, segmentSize: 1_448, headerLength: 70, checksumStart: 38, checksumOffset: 16))
            let copies = tapped.bench.sensor.receive(3)
            #expect(copies.map(\.count) == [128, 128, 128])
            #expect(copies.allSatisfy { $0[12..<16].elementsEqual([0x81, 0, 0, 7]) })
            // Its tag is among the bytes here, where the kernel would not make fewer segments of it.
            let tiny = GSOPacket(payload: 60_000, tags: [7], segmentSize: 100)
            try guest.write(tiny.frame, tiny.offload)
            let joined = tiny.segments(of: tiny.joinedSize).map { Array($0.prefix(128)) }
            #expect(tapped.bench.sensor.receive(joined.count) == joined)
        }

        @Test("What cannot be copied takes nothing of the rate", arguments: Mechanism.here)
        func chargesNothing(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism, withHeader: true)
            let desired = try tapped.attach(.outbound) {
                $0.snaplen = .bytes(64)
                $0.rate = RateLimit(perSecond: 1, unit: .packetsPerSecond, burst: 10, text: "", burstText: nil)
            }
            // Datagrams of more than 128 segments.
            try tapped.bench.guest.write(
                FrameBuilder.udp(1, payload: 60_000),
                TapDevice.Offload(type: 3, segmentSize: 24, headerLength: 42, checksumStart: 34, checksumOffset: 6))
            for number in 0..<10 { try tapped.bench.guest.write(FrameBuilder.udp(number)) }
            let counters = try #require(try tapped.counters(desired)[.outbound])
            #expect(counters.errors.packets == 2_500)
            #expect(counters.copied.packets == 10)
            #expect(counters.rateLimited.packets == 0)
        }

        // MARK: The backlog

        @Test("Segments wait up to a share of the backlog, and whichever comes out settles for all before it")
        func sharesTheBacklog() throws {
            let tapped = try TappedBench(.clsact)
            // On one processor: a test that is moved to another begins anew.
            for _ in 1...50 {
                try tapped.attach { $0.snaplen = .bytes(64) }
                do {
                    return try shareTheBacklog(tapped)
                } catch is Moved {
                    _ = try tapped.dataplane.purge()
                    try tapped.dataplane.setDestination("ids", kind: .interface, ifindex: tapped.bench.destinationIndex)
                }
            }
            Issue.record("never on one processor to the end")
        }

        private struct Moved: Error {}

        private func shareTheBacklog(_ tapped: TappedBench) throws {
            let departure = try Program(tapped.bench.bpffs + "/virt-tap/1/hop-departure")
            let arrival = try Program(tapped.bench.bpffs + "/virt-tap/1/hop-arrival")
            let first = try departure.run(segments: 100)
            func send(_ segments: UInt32) throws -> Program.Outcome {
                let outcome = try departure.run(segments: segments)
                if outcome.passes, outcome.cpu != first.cpu { throw Moved() }
                return outcome
            }
            let second = try send(100)
            #expect(first.passes && second.passes && second.ticket == first.ticket + 100)
            // 300 would be more than the share.
            #expect(try !send(100).passes)
            #expect(try send(50).passes)
            // The first came out: others may wait in its place.
            _ = try arrival.run(ticket: first.ticket, cpu: first.cpu)
            let third = try send(100)
            #expect(third.passes)
            #expect(try !send(1).passes)
            // Those before the third were lost. More may come out of one than was counted.
            for _ in 1...300 { _ = try arrival.run(ticket: third.ticket, cpu: third.cpu) }
            // What an older program had sent is no news, nor what was never sent.
            for ticket in [first.ticket, third.ticket &+ 1_000, 0] { _ = try arrival.run(ticket: ticket, cpu: third.cpu) }
            #expect(try send(125).passes && send(125).passes)
            #expect(try !send(1).passes)
        }

        private func setOffloads(of device: String, to value: UInt32) throws {
            let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            defer { close(descriptor) }
            for command in [ETHTOOL_STXCSUM, ETHTOOL_SSG, ETHTOOL_STSO, ETHTOOL_SGSO] {
                var value = ethtool_value(cmd: UInt32(command), data: value)
                try withUnsafeMutablePointer(to: &value) { value in
                    var request = ifreq()
                    withUnsafeMutableBytes(of: &request.ifr_ifrn) { $0.copyBytes(from: device.utf8.prefix(15)) }
                    request.ifr_ifru.ifru_data = UnsafeMutableRawPointer(value).assumingMemoryBound(to: CChar.self)
                    guard ioctl(descriptor, UInt(SIOCETHTOOL), &request) == 0 else { throw CallFailure("SIOCETHTOOL \(device)") }
                }
            }
        }
    }

    /// One of the relay's programs, run by BPF_PROG_TEST_RUN on a copy that a tap sent.
    private final class Program {
        struct Outcome {
            /// TC_ACT_UNSPEC, and not TC_ACT_SHOT.
            var passes: Bool
            var ticket: UInt32
            var cpu: UInt32
        }

        private let descriptor: CInt

        init(_ pin: String) throws {
            descriptor = bpf_obj_get(pin)
            guard descriptor >= 0 else { throw CallFailure("bpf_obj_get \(pin)") }
        }

        deinit { close(descriptor) }

        /// A GSO packet that will be so many segments.
        func run(segments: UInt32) throws -> Outcome { try run(third: segments, fourth: 0, isSuper: true) }

        func run(ticket: UInt32, cpu: UInt32) throws -> Outcome { try run(third: ticket, fourth: cpu, isSuper: false) }

        private func run(third: UInt32, fourth: UInt32, isSuper: Bool) throws -> Outcome {
            var context = __sk_buff()
            // TAP_CB_MAGIC and slot 0; 64 bytes; no device.
            context.cb = (0x7674_0000, 64, 0, third, fourth)
            if isSuper { (context.gso_size, context.gso_segs) = (100, 2) }
            let frame = FrameBuilder.udp(1, payload: 400)
            let value = try frame.withUnsafeBytes { frame in
                try withUnsafeMutablePointer(to: &context) { context in
                    var options = bpf_test_run_opts()
                    options.sz = MemoryLayout<bpf_test_run_opts>.size
                    options.data_in = frame.baseAddress
                    options.data_size_in = UInt32(frame.count)
                    options.ctx_in = UnsafeRawPointer(context)
                    options.ctx_size_in = UInt32(MemoryLayout<__sk_buff>.size)
                    options.ctx_out = UnsafeMutableRawPointer(context)
                    options.ctx_size_out = options.ctx_size_in
                    options.`repeat` = 1
                    guard bpf_prog_test_run_opts(descriptor, &options) == 0 else { throw CallFailure("BPF_PROG_TEST_RUN") }
                    return options.retval
                }
            }
            return Outcome(passes: Int32(bitPattern: value) == TC_ACT_UNSPEC, ticket: context.cb.3, cpu: context.cb.4)
        }
    }
}
