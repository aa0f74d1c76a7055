// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import DataplaneTestSupport
import Glibc
import PacketFilter
import PacketFilterTestSupport

/// A program that calls a translated filter for each frame, and writes down what it said and what the frame was like.
final class Observer {
    /// What is written down, 8 bytes each.
    struct Record {
        var frames: UInt64 = 0
        var matches: UInt64 = 0
        // Of the last frame.
        var length: UInt64 = 0
        var linear: UInt64 = 0
        var hasTag: UInt64 = 0
        var segmentSize: UInt64 = 0
    }

    private let map: CInt
    private let memory: UnsafeMutablePointer<Record>

    init() throws {
        var options = bpf_map_create_opts()
        options.sz = MemoryLayout<bpf_map_create_opts>.size
        // BPF_F_MMAPABLE
        options.map_flags = 1 << 10
        map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "observer", 4, UInt32(MemoryLayout<Record>.size), 1, &options)
        guard map >= 0 else { throw CallFailure("bpf_map_create") }
        guard let address = mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0), address != MAP_FAILED else {
            throw CallFailure("mmap of the observer's map")
        }
        memory = address.assumingMemoryBound(to: Record.self)
    }

    deinit {
        munmap(memory, 4096)
        close(map)
    }

    var record: Record { UnsafeMutableRawPointer(memory).load(as: Record.self) }

    /// - Parameter filter: `FilterTranslation`'s.
    func program(_ filter: [UInt64]) throws -> KernelFilter {
        // BPF_PSEUDO_MAP_FD: the map's address takes two instructions.
        let mapAddress = [EBPF.instruction(0x18, 1, 1, immediate: UInt32(map)), EBPF.instruction(0)]
        let segmentSize = Int16(MemoryLayout<__sk_buff>.offset(of: \.gso_size)!)
        var body = [
            EBPF.load(1, 0, 0, bytes: 8), EBPF.add64(1, 1), EBPF.store(0, 0, 1, bytes: 8), EBPF.load(1, 0, 8, bytes: 8),
            EBPF.instruction(0x0F, 1, 7), EBPF.store(0, 8, 1, bytes: 8), EBPF.load(1, 6, 76, bytes: 4), EBPF.load(2, 6, 80, bytes: 4),
            EBPF.instruction(0x1F, 2, 1), EBPF.store(0, 24, 2, bytes: 8),
        ]
        for (place, offset) in [(16, 0), (32, 20), (40, segmentSize)] {
            body += [EBPF.load(1, 6, Int16(offset), bytes: 4), EBPF.store(0, Int16(place), 1, bytes: 8)]
        }
        let lookup =
            [EBPF.store32(10, -4, constant: 0), EBPF.move(2, 10), EBPF.add64(2, -4)] + mapAddress + [
                EBPF.call(helper: 1), EBPF.setting(EBPF.jump64(0x10, 0, constant: 0), offset: Int16(body.count)),
            ]
        // TC_ACT_UNSPEC on every path.
        let end = [EBPF.move32(0, constant: UInt32.max), EBPF.exit]
        let rest = lookup + body + end
        let start = [
            EBPF.move(6, 1), EBPF.call(function: Int32(rest.count + 3)), EBPF.move32(7, constant: 0),
            EBPF.setting(EBPF.jump64(0x10, 0, constant: 0), offset: 1), EBPF.move32(7, constant: 1),
        ]
        return try KernelFilter(start + rest + filter)
    }
}
