// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import FoundationEssentials
import Glibc
import TapModel

/// The copying program, loaded for one attachment and direction.
struct TapProgram {
    let object: KernelObject
    /// The kernel's id.
    let id: UInt32

    /// What the object, its function and so the loaded program are called.
    static let name = "virt_tap"

    /// The maps that it works on: they live longer than it does.
    struct Maps {
        let counters: KernelObject
        let destinations: KernelObject
        let destinationCounters: KernelObject
    }

    /// What the program is specialised by: the constants of bpf/tap.bpf.c.
    struct Constants {
        let direction: Direction
        let mark: PacketMark
        let destinationSlot: UInt32
    }

    private static let elf: [UInt8]? = Data(base64Encoded: "\(TapObject.base64)").map { [UInt8]($0) }

    static func load(_ constants: Constants, _ maps: Maps, _ kernel: Kernel) throws -> TapProgram {
        guard let elf else { throw KernelError(call: .load, number: ENOEXEC, subject: "the embedded object") }
        var options = bpf_object_open_opts()
        options.sz = MemoryLayout<bpf_object_open_opts>.size
        let object = name.withCString { name in
            options.object_name = name
            return bpf_object__open_mem(elf, elf.count, &options)
        }
        guard let object else { throw KernelError(call: .load, number: errno, subject: "the embedded object") }
        defer { bpf_object__close(object) }

        for (name, value) in [
            ("tap_mark_value", constants.mark.value), ("tap_mark_mask", constants.mark.mask),
            ("tap_destination_slot", constants.destinationSlot), ("tap_counter_base", MapLayout.counterBase(constants.direction)),
        ] {
            try kernel.check(.load, name) {
                withUnsafeBytes(of: value) { clibbpf_set_constant(object, name, $0.baseAddress, $0.count) }
            }
        }
        for (name, map, size, entries) in [
            ("tap_counters", maps.counters, MapLayout.counterSize, MapLayout.counters),
            ("tap_dests", maps.destinations, MapLayout.destinationSize, MapLayout.destinations),
            (
                "tap_dest_counts", maps.destinationCounters, MapLayout.counterSize,
                MapLayout.destinations * UInt32(MapLayout.countersPerDestination)
            ),
        ] {
            let declared = bpf_object__find_map_by_name(object, name)
            let info = try kernel.mapInfo(map)
            guard declared != nil, bpf_map__value_size(declared) == size, bpf_map__max_entries(declared) == entries,
                info.value_size == size, info.max_entries == entries
            else { throw KernelError(call: .load, number: EINVAL, subject: "map \(name) has another layout") }
            try kernel.check(.load, name) { bpf_map__reuse_fd(declared, map.descriptor) }
        }
        return try load(object, kernel)
    }

    private static func load(_ object: OpaquePointer, _ kernel: Kernel) throws -> TapProgram {
        let program = bpf_object__find_program_by_name(object, name)
        guard program != nil else { throw KernelError(call: .load, number: ENOENT, subject: name) }
        // Filled only when the load fails: libbpf then tries again with the verifier's log.
        let log = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 256 * 1_024)
        log[0] = 0
        defer { log.deallocate() }
        bpf_program__set_log_buf(program, log.baseAddress, log.count)
        _ = clibbpf_take_messages()
        do {
            try kernel.check(.load, name) { bpf_object__load(object) }
        } catch var error as KernelError {
            let text = log.baseAddress.map { String(cString: $0) } ?? ""
            error.log = text.isEmpty ? nil : text
            throw error
        }
        let descriptor = try kernel.check(.load, name) { fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 3) }
        let object = KernelObject(owning: descriptor)
        return TapProgram(object: object, id: try object.programID())
    }
}
