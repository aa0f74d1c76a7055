// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import CTapABI
import TapModel

/// A per-CPU array of `struct tap_count`: one attachment's counters, or those of all destinations.
struct CounterMap {
    let object: KernelObject
    let kernel: Kernel

    /// Where the counter of a direction is in an attachment's map.
    static func index(_ direction: Direction, _ counter: tap_counter) -> UInt32 {
        (direction == .inbound ? 0 : TAP_COUNTERS.rawValue) + counter.rawValue
    }

    /// Where the counter of a slot is in the map of destinations' counters.
    static func index(_ slot: UInt32, _ counter: tap_destination_counter) -> UInt32 {
        slot * TAP_DESTINATION_COUNTERS.rawValue + counter.rawValue
    }

    /// The values of all CPUs, one for each.
    func values(at index: UInt32) throws -> [Counter] {
        let size = MemoryLayout<tap_count>.size
        let value = try kernel.read(object, at: index, size: size * processors())
        return value.withUnsafeBytes { bytes in
            stride(from: 0, to: bytes.count, by: size).map { offset in
                let count = bytes.loadUnaligned(fromByteOffset: offset, as: tap_count.self)
                return Counter(packets: count.packets, bytes: count.bytes)
            }
        }
    }

    /// The sum over all CPUs.
    func sum(at index: UInt32) throws -> Counter { try values(at: index).reduce(Counter()) { $0 + $1 } }

    func clear(at index: UInt32) throws {
        try kernel.write([UInt8](repeating: 0, count: MemoryLayout<tap_count>.size * processors()), to: object, at: index)
    }

    private func processors() throws -> Int {
        Int(try kernel.check(.readMap, "/sys/devices/system/cpu/possible") { libbpf_num_possible_cpus() })
    }

    func direction(_ direction: Direction) throws -> DirectionCounters {
        func count(_ counter: tap_counter) throws -> Counter { try sum(at: Self.index(direction, counter)) }
        return DirectionCounters(
            copied: try count(TAP_COPIED), filtered: try count(TAP_FILTERED), sampledOut: try count(TAP_SAMPLED_OUT),
            rateLimited: try count(TAP_RATE_LIMITED), errors: try count(TAP_ERRORS), marked: try count(TAP_MARKED),
            alreadyCopied: try count(TAP_ALREADY_COPIED))
    }
}
