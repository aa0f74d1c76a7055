// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import TapModel

/// A per-CPU array of `struct tap_count`.
struct CounterMap {
    let object: KernelObject
    let kernel: Kernel

    /// Each CPU's.
    func values(at index: Int) throws -> [Counter] {
        let processors = try kernel.check(.readMap, "/sys/devices/system/cpu/possible") { libbpf_num_possible_cpus() }
        let size = Int(MapLayout.counterSize)
        let value = try kernel.read(object, at: UInt32(index), size: size * Int(processors))
        return value.withUnsafeBytes { bytes in
            stride(from: 0, to: bytes.count, by: size).map { offset in
                Counter(
                    packets: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self),
                    bytes: bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self))
            }
        }
    }

    /// The sum over all CPUs.
    func sum(at index: Int) throws -> Counter { try values(at: index).reduce(Counter()) { $0 + $1 } }

    func clear(at index: Int) throws {
        let processors = try kernel.check(.readMap, "/sys/devices/system/cpu/possible") { libbpf_num_possible_cpus() }
        try kernel.write([UInt8](repeating: 0, count: Int(MapLayout.counterSize) * Int(processors)), to: object, at: UInt32(index))
    }

    func direction(_ direction: Direction) throws -> DirectionCounters {
        let base = Int(MapLayout.counterBase(direction))
        return DirectionCounters(
            copied: try sum(at: base + MapLayout.copied), filtered: try sum(at: base + MapLayout.filtered),
            sampledOut: try sum(at: base + MapLayout.sampledOut), rateLimited: try sum(at: base + MapLayout.rateLimited),
            errors: try sum(at: base + MapLayout.errors), marked: try sum(at: base + MapLayout.marked),
            alreadyCopied: try sum(at: base + MapLayout.alreadyCopied))
    }
}
