// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import DataplaneTestSupport
import Glibc

/// Counts every frame that comes in on a device, and drops it: exact, cheap, and the same for every variant.
///
/// The device's own statistics would not do: a veth's are its peer's, counted before the frame has arrived.
final class FarEnd: CopyCount {
    struct Count: Equatable {
        var frames: UInt64 = 0
        var bytes: UInt64 = 0
        /// How many of the frames were GSO packets.
        var large: UInt64 = 0

        static func - (left: Self, right: Self) -> Self {
            Count(frames: left.frames &- right.frames, bytes: left.bytes &- right.bytes, large: left.large &- right.large)
        }
    }

    private let map: CInt
    private let counting: HandWritten
    private var link: CInt = -1

    /// - Parameter isFirst: in front of all programs that are there, in whose place it drops what comes.
    init(on device: String, isFirst: Bool = false) throws {
        map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bench_far_end", 4, 24, 1, nil)
        guard map >= 0 else { throw BenchmarkFailure(call: "far end's map") }
        counting = try HandWritten.counting(in: map)
        let index = CInt(if_nametoindex(device))
        var options = bpf_link_create_opts()
        options.sz = MemoryLayout<bpf_link_create_opts>.size
        options.flags = isFirst ? UInt32(CLIBBPF_F_BEFORE.rawValue) : 0
        link = bpf_link_create(counting.program, index, bpf_attach_type(CLIBBPF_TCX_INGRESS.rawValue), &options)
        if link < 0 {
            // Before Linux 6.6.
            try run("tc", "qdisc", "add", "dev", device, "clsact")
            guard clibbpf_filter_attach(index, 0, 1, 1, counting.program, 0) == 0 else {
                throw BenchmarkFailure(call: "counting at \(device)")
            }
        }
    }

    deinit {
        if link >= 0 { close(link) }
        close(map)
    }

    /// Since it was made.
    func count() throws -> Count {
        var key: UInt32 = 0
        var values: (UInt64, UInt64, UInt64) = (0, 0, 0)
        guard bpf_map_lookup_elem(map, &key, &values) == 0 else { throw BenchmarkFailure(call: "reading a far end") }
        return Count(frames: values.0, bytes: values.1, large: values.2)
    }
}
