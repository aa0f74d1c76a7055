// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import TapModel
import Testing

extension KernelSuite {
    @Suite("Sampling")
    struct SamplingTests {
        @Test("One packet in N: the rate and its spread", arguments: Mechanism.here, [(10, 10_000), (3, 3_000), (1, 500)])
        func samplesPackets(_ mechanism: Mechanism, _ numbers: (oneIn: UInt32, count: Int)) throws {
            let (oneIn, count) = numbers
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach(.outbound) { $0.sampling = .packets(oneIn: oneIn) }
            // In groups of 100, so that the spread can be computed.
            var groups: [Int] = []
            var copies = 0
            for start in Swift.stride(from: 0, to: count, by: 100) {
                for number in start..<(start + 100) { try tapped.bench.guest.write(FrameBuilder.udp(number)) }
                let now = try #require(try tapped.counters(desired)[.outbound])
                groups.append(Int(now.copied.packets) - copies)
                copies = Int(now.copied.packets)
            }
            let counters = try #require(try tapped.counters(desired)[.outbound])
            #expect(counters.seen.packets == UInt64(count))
            #expect(counters.copied + counters.sampledOut == counters.seen)
            #expect(tapped.bench.sensor.receive(copies).count == copies)
            let share = 1 / Double(oneIn)
            // Of a binomial distribution; five standard deviations are passed once in two million runs.
            let deviation = (Double(count) * share * (1 - share)).squareRoot()
            #expect(abs(Double(copies) - Double(count) * share) <= 5 * deviation)
            let mean = Double(copies) / Double(groups.count)
            let variance = groups.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / Double(max(1, groups.count - 1))
            let expected = 100 * share * (1 - share)
            // The variance of n groups spreads by about expected * sqrt(2/n).
            #expect(abs(variance - expected) <= 5 * expected * (2 / Double(groups.count)).squareRoot())
        }

        private func flow(_ number: Int, toGuest: Bool, port: Int = 5_000) -> [UInt8] {
            var frame = FrameBuilder.udp(number, toGuest: toGuest)
            let (guest, peer): ([UInt8], [UInt8]) = (
                [10, UInt8(number >> 16 & 0xFF), UInt8(number >> 8 & 0xFF), UInt8(number & 0xFF)], [10, 200, 0, 2]
            )
            frame.replaceSubrange(26..<34, with: toGuest ? peer + guest : guest + peer)
            let ports: [UInt8] = [0x0F, 0xA0, UInt8(port >> 8), UInt8(port & 0xFF)]
            frame.replaceSubrange(34..<38, with: toGuest ? [ports[2], ports[3], ports[0], ports[1]] : ports)
            return withChecksum(frame)
        }

        private func withChecksum(_ frame: [UInt8]) -> [UInt8] {
            var frame = frame
            frame.replaceSubrange(24..<26, with: [0, 0])
            frame.replaceSubrange(24..<26, with: FrameBuilder.checksum(frame[14..<34]))
            return frame
        }

        @Test("Whole flows, both directions, the same on every interface, and as described", arguments: Mechanism.here)
        func samplesFlows(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let other = try TappedBench(mechanism)
            for bench in [tapped, other] { try bench.attach { $0.sampling = .flows(oneIn: 4) } }
            let count = 1_200
            func chosen(_ bench: TappedBench, tags: [UInt16]) throws -> [Set<Int>] {
                func numbers(_ frames: [[UInt8]], _ address: Int) -> Set<Int> {
                    Set(frames.map { Int($0[address + 1]) << 16 | Int($0[address + 2]) << 8 | Int($0[address + 3]) })
                }
                func tagged(_ frame: [UInt8]) -> [UInt8] {
                    Array(frame[..<12]) + tags.flatMap { [0x81, 0, UInt8($0 >> 8), UInt8($0 & 0xFF)] } + frame[12...]
                }
                for number in 0..<count { try bench.bench.guest.write(tagged(flow(number, toGuest: false))) }
                let outbound = bench.bench.sensor.receive(1)
                for number in 0..<count { try bench.bench.peer.send(tagged(flow(number, toGuest: true))) }
                let inbound = bench.bench.sensor.receive(1)
                let shift = 4 * tags.count
                return [numbers(outbound, 26 + shift), numbers(inbound, 30 + shift)]
            }
            let expected = Set(
                (0..<count).filter {
                    let source = 10 << 24 | UInt32($0)
                    return FlowHash.chooses(FlowHash.ipv4(source, 4_000, 10 << 24 | 200 << 16 | 2, 5_000, protocol: 17), oneIn: 4)
                })
            #expect(try chosen(tapped, tags: []) == [expected, expected])
            #expect(try chosen(other, tags: []) == [expected, expected])
            #expect(try chosen(tapped, tags: [7]) == [expected, expected])
            #expect(abs(Double(expected.count) - 300) <= 5 * 15)
        }

        @Test("Fragments of one packet stay together", arguments: Mechanism.here)
        func keepsFragmentsTogether(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            try tapped.attach(.outbound) { $0.sampling = .flows(oneIn: 2) }
            for number in 0..<300 {
                for fragment in [0x2000, 0x2010, 0x0020] {
                    // What stands where the ports are is payload of the later ones.
                    var frame = flow(number, toGuest: false, port: fragment)
                    frame.replaceSubrange(20..<22, with: [UInt8(fragment >> 8), UInt8(fragment & 0xFF)])
                    try tapped.bench.guest.write(withChecksum(frame))
                }
            }
            let copies = tapped.bench.sensor.receive(1)
            let byFlow = Dictionary(grouping: copies) { Array($0[26..<30]) }
            #expect(byFlow.values.allSatisfy { $0.count == 3 })
            #expect(abs(Double(byFlow.count) - 150) <= 5 * 8.7)
        }
    }
}

/// The hash that chooses flows, as bpf/flow.h describes it, written once more from the description.
enum FlowHash {
    private static let seed: UInt32 = 0x7674_6170

    private static func murmur3(_ words: [UInt32]) -> UInt32 {
        func rotate(_ word: UInt32, _ bits: UInt32) -> UInt32 { word << bits | word >> (32 - bits) }
        var hash = seed
        for word in words {
            hash ^= rotate(word &* 0xCC9E_2D51, 15) &* 0x1B87_3593
            hash = rotate(hash, 13) &* 5 &+ 0xE654_6B64
        }
        hash ^= UInt32(4 * words.count)
        hash = (hash ^ hash >> 16) &* 0x85EB_CA6B
        hash = (hash ^ hash >> 13) &* 0xC2B2_AE35
        return hash ^ hash >> 16
    }

    /// - Parameters: addresses as numbers.
    static func ipv4(_ source: UInt32, _ sourcePort: UInt16, _ destination: UInt32, _ destinationPort: UInt16, protocol number: UInt8)
        -> UInt32
    {
        let ends = [(source, sourcePort), (destination, destinationPort)].map { murmur3([0, 0, 0xFFFF, $0.0, UInt32($0.1)]) }
        return murmur3([ends.min()!, ends.max()!, UInt32(number)])
    }

    /// Whether `sample-flows="1/N"` chooses it.
    static func chooses(_ hash: UInt32, oneIn count: UInt64) -> Bool { UInt64(hash) < ((1 << 32) + count - 1) / count }
}
