// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import Glibc
import TapModel
import Testing

extension KernelSuite {
    @Suite("Copies are truncated, originals are not")
    struct SnaplenTests {
        @Test("A copy has at most snaplen bytes, a VLAN tag included, and short frames are whole", arguments: Mechanism.here)
        func cuts(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach { $0.snaplen = .bytes(128) }
            var sent: [[UInt8]] = []
            for payload in [4, 85, 86, 87, 200, 1_472] {
                for tags: [UInt16] in [[], [7], [7, 8]] {
                    sent.append(FrameBuilder.udp(payload, payload: payload, tags: tags))
                }
            }
            for frame in sent { try tapped.bench.guest.write(frame) }
            #expect(tapped.bench.peer.receive(sent.count) == sent)
            #expect(tapped.bench.sensor.receive(sent.count) == sent.map { Array($0.prefix(128)) })
            let inbound = FrameBuilder.udp(1, payload: 1_000, toGuest: true)
            try tapped.bench.peer.send(inbound)
            #expect(tapped.bench.guest.read() == inbound)
            #expect(tapped.bench.sensor.receive(1) == [Array(inbound.prefix(128))])

            let counters = try tapped.counters(desired)
            #expect(counters[.outbound]?.copied == Counter(sent))
            #expect(counters[.inbound]?.copied == Counter([inbound]))
            #expect(counters.values.allSatisfy { $0.seen == $0.copied })
            #expect(try tapped.dataplane.destinations().map(\.sent) == [Counter(sent + [inbound])])
            let cutOff = (sent + [inbound]).map { max(0, $0.count - 128) }.reduce(0, +)
            #expect(try tapped.dataplane.destinations().map { $0.sent.bytes - $0.given.bytes } == [UInt64(cutOff)])
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true)
        }

        @Test("A GSO packet arrives as its segments, each truncated", arguments: Mechanism.here, [0, 1])
        func cutsSegments(_ mechanism: Mechanism, _ tags: Int) throws {
            let tapped = try TappedBench(mechanism, withHeader: true)
            let desired = try tapped.attach(.outbound) { $0.snaplen = .bytes(128) }
            let frame = FrameBuilder.tcp(payload: 20_000, tags: tags == 0 ? [] : [7])
            let header = 66 + 4 * tags
            let offload = TapDevice.Offload(
                type: 1, segmentSize: 1_448, headerLength: UInt16(header), checksumStart: UInt16(header - 32), checksumOffset: 16)
            try tapped.bench.guest.write(frame, offload)
            let copies = tapped.bench.sensor.receive(14)
            #expect(copies.map(\.count) == [Int](repeating: 128, count: 14))
            let sequence = 38 + 4 * tags
            for (number, copy) in copies.enumerated() {
                #expect(copy[..<14].elementsEqual(frame[..<14]))
                let bytes = copy[sequence..<(sequence + 4)].reduce(0) { $0 << 8 | UInt32($1) }
                #expect(bytes == 1 + UInt32(number) * 1_448)
                #expect(copy[header...].elementsEqual(frame[(header + number * 1_448)...].prefix(128 - header)))
            }
            let expected = Counter(packets: 14, bytes: UInt64(20_000 + 14 * header))
            #expect(try tapped.counters(desired)[.outbound]?.copied == expected)
            #expect(try tapped.dataplane.destinations().map(\.sent) == [expected])
            #expect(try tapped.dataplane.destinations().map { $0.sent.bytes - $0.given.bytes } == [expected.bytes - 14 * 128])
            // Whole segments are not longer than that: the GSO packet goes as it is.
            try tapped.dataplane.replace(tapped.desired(.outbound) { $0.snaplen = .bytes(2_000) }, at: TappedBench.now)
            try tapped.bench.guest.write(frame, offload)
            #expect(tapped.bench.sensor.receive(1).map(\.count) == [frame.count])
        }

        @Test("GSO packets of unknown kind are dropped and counted, or arrive truncated", arguments: Mechanism.here)
        func cutsStrangeSegments(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism, withHeader: true)
            let desired = try tapped.attach(.outbound) { $0.snaplen = .bytes(64) }
            let frame = FrameBuilder.tcp(payload: 9_000)
            // The checksum's place beyond the cut, and beyond the headers.
            for (start, offset) in [(34, 16), (60, 2), (100, 16), (1_000, 16), (8_000, 16)] {
                for size: UInt16 in [0, 1_448] {
                    let offload = TapDevice.Offload(
                        type: size == 0 ? 0 : 1, segmentSize: size, headerLength: 66, checksumStart: UInt16(start),
                        checksumOffset: UInt16(offset))
                    try? tapped.bench.guest.write(frame, offload)
                }
            }
            let copies = tapped.bench.sensor.receive(1)
            #expect(!copies.isEmpty && copies.allSatisfy { $0.count <= 64 })
            let counters = try #require(try tapped.counters(desired)[.outbound])
            let destination = try #require(try tapped.dataplane.destinations().first)
            #expect(counters.seen == counters.copied + counters.errors)
            #expect(counters.seen.packets >= 5 && counters.errors.packets > 0)
            #expect(destination.sent.packets == UInt64(copies.count))
        }

        @Test("A relay that is gone costs copies and no frame, and is put back", arguments: Mechanism.here)
        func losesRelay(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach(.outbound) { $0.snaplen = .bytes(64) }
            try ip("link del virttap-cut\n")
            #expect(try tapped.exchange(5).areWhole)
            #expect(tapped.bench.sensor.receive(within: 300) == nil)
            #expect(try tapped.counters(desired)[.outbound]?.errors.packets == 5)
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == false)
            try tapped.dataplane.replace(desired, at: TappedBench.now)
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true)
            let (sent, areWhole) = try tapped.exchange(5, from: 5)
            #expect(areWhole)
            #expect(tapped.bench.sensor.receive(5) == sent.prefix(5).map { Array($0.prefix(64)) })
        }

        @Test(
            "However many segments a GSO packet has, the original passes, at most 128 arrive, and it counts as what it was",
            arguments: Mechanism.here)
        func sparesTheBacklog(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism, withHeader: true)
            let desired = try tapped.attach(.outbound) { $0.snaplen = .headers }
            let frame = FrameBuilder.tcp(payload: 60_000)
            // Of 8 bytes at least: Linux 6.1 makes no smaller ones.
            for size: UInt16 in [1_448, 600, 470, 100, 40, 8] {
                let offload = TapDevice.Offload(type: 1, segmentSize: size, headerLength: 66, checksumStart: 34, checksumOffset: 16)
                for _ in 0..<5 { try tapped.bench.guest.write(frame, offload) }
                #expect(tapped.bench.peer.receive(5).map(\.count) == [Int](repeating: frame.count, count: 5), "segments of \(size)")
            }
            let copies = tapped.bench.sensor.receive(1)
            let counters = try #require(try tapped.counters(desired)[.outbound])
            let destination = try #require(try tapped.dataplane.destinations().first)
            #expect(counters.seen == counters.copied + counters.errors)
            #expect(counters.copied.packets == 5 * (42 + 100 + 128 + 600 + 1_500 + 7_500))
            #expect(destination.sent == counters.copied)
            // Of more than 128 segments 127 are made.
            #expect(destination.given.packets == UInt64(copies.count) && copies.count == 5 * (42 + 100 + 128 + 3 * 127))
        }

        @Test("A destination that is down, or gone, is counted as errors", arguments: Mechanism.here)
        func isRefused(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach(.outbound) { $0.snaplen = .bytes(64) }
            try ip("link set \(tapped.bench.destination) down\n")
            #expect(try tapped.exchange(5).areWhole)
            try tapped.dataplane.setDestination("ids", kind: .interface, ifindex: 0)
            #expect(try tapped.exchange(5).areWhole)
            #expect(tapped.bench.sensor.receive(within: 300) == nil)
            let counters = try #require(try tapped.counters(desired)[.outbound])
            #expect(counters.errors.packets == 10 && counters.copied == Counter())
            #expect(try tapped.dataplane.destinations().map(\.errors.packets) == [10])
        }

        @Test("Our devices have no addresses and go with the last tap that needs them; another's are left alone", arguments: Mechanism.here)
        func leavesNoDevice(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let names = ["virttap-cut", "virttap-cut-in"]
            let first = try tapped.attach { $0.snaplen = .bytes(64) }
            let second = try tapped.attach(tap: "other") { $0.snaplen = .headers }
            for name in names {
                #expect(if_nametoindex(name) != 0)
                #expect(try run("ip", "-o", "addr", "show", "dev", name) == "")
            }
            try tapped.dataplane.detach(first.key.id)
            #expect(names.allSatisfy { if_nametoindex($0) != 0 })
            let plain = try tapped.desired(tap: "other")
            #expect(plain.key == second.key)
            try tapped.dataplane.replace(plain, at: TappedBench.now)
            #expect(names.allSatisfy { if_nametoindex($0) == 0 })
            try ip("link add virttap-cut type ifb\nlink set virttap-cut up\n")
            #expect(throws: Failure.self) { try tapped.attach { $0.snaplen = .bytes(64) } }
            #expect(try tapped.dataplane.purge() == 1)
            #expect(if_nametoindex("virttap-cut") != 0)
            try ip("link del virttap-cut\n")
        }
    }
}
