// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import FoundationEssentials
import Glibc

/// One program of an embedded eBPF object, open to be specialised and loaded once.
final class ProgramObject {
    /// The section that programs are in: bpf/*.bpf.c.
    private static let section: CInt = clibbpf_register_section("tap")

    private let name: String
    private let object: OpaquePointer
    private let kernel: Kernel

    /// - Parameter name: what the program is called. The object may have others.
    init(_ name: String, _ elf: [UInt8]?, _ kernel: Kernel) throws {
        guard let elf, Self.section == 0 else { throw KernelError(call: .load, number: ENOEXEC, subject: "the embedded object") }
        var options = bpf_object_open_opts()
        options.sz = MemoryLayout<bpf_object_open_opts>.size
        let object = name.withCString { name in
            options.object_name = name
            return bpf_object__open_mem(elf, elf.count, &options)
        }
        guard let object else { throw KernelError(call: .load, number: errno, subject: "the embedded object") }
        self.name = name
        self.object = object
        self.kernel = kernel
        // Every object declares all maps: bpf/maps.h. Those that are used here are pinned ones.
        var map = bpf_object__next_map(object, nil)
        while let declared = map {
            if !bpf_map__is_internal(declared) { bpf_map__set_autocreate(declared, false) }
            map = bpf_object__next_map(object, declared)
        }
        var program = bpf_object__next_program(object, nil)
        while let other = program {
            bpf_program__set_autoload(other, String(cString: bpf_program__name(other)) == name)
            program = bpf_object__next_program(object, other)
        }
    }

    deinit { bpf_object__close(object) }

    static func decode(_ base64: StaticString) -> [UInt8]? { Data(base64Encoded: "\(base64)").map { [UInt8]($0) } }

    /// Sets a `const volatile` variable.
    func set(_ constant: String, _ value: some BitwiseCopyable) throws {
        try kernel.check(.load, constant) {
            withUnsafeBytes(of: value) { clibbpf_set_constant(object, constant, $0.baseAddress, $0.count) }
        }
    }

    /// Lets the program work on a map that is there; `nil`: on none, for a program that does not reach it.
    /// - Throws: EINVAL when the object declares it otherwise than `MapLayout`, or the map is otherwise.
    func use(_ map: KernelObject?, as shape: MapLayout.Shape) throws {
        let declared = bpf_object__find_map_by_name(object, shape.variable)
        guard declared != nil, bpf_map__type(declared) == shape.type, bpf_map__value_size(declared) == shape.valueSize,
            bpf_map__max_entries(declared) == shape.entries
        else {
            throw KernelError(call: .load, number: EINVAL, subject: "map \(shape.variable) has another layout")
        }
        guard let map else { return }
        guard try shape.fits(kernel.mapInfo(map)) else {
            throw KernelError(call: .load, number: EINVAL, subject: "map \(shape.variable) has another layout")
        }
        bpf_map__set_autocreate(declared, true)
        try kernel.check(.load, shape.variable) { bpf_map__reuse_fd(declared, map.descriptor) }
    }

    /// - Parameters:
    ///   - call: the number of the helper function whose place `function` takes.
    ///   - function: `struct bpf_insn` each; empty: none.
    func load(call: Int32 = 0, function: [UInt64] = []) throws -> KernelObject {
        let program = bpf_object__find_program_by_name(object, name)
        guard program != nil else { throw KernelError(call: .load, number: ENOENT, subject: name) }
        // Filled only when the load fails: libbpf then tries again with the verifier's log.
        let log = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 256 * 1_024)
        log[0] = 0
        defer { log.deallocate() }
        bpf_program__set_log_buf(program, log.baseAddress, log.count)
        _ = clibbpf_take_messages()
        do {
            try kernel.check(.load, name) { clibbpf_load(object, name, call, function, function.count) }
        } catch var error as KernelError {
            let text = log.baseAddress.map { String(cString: $0) } ?? ""
            error.log = text.isEmpty ? nil : text
            throw error
        }
        return KernelObject(owning: try kernel.check(.load, name) { fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 3) })
    }
}
