// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc

/// The filters in C, which clang has compiled, loaded.
final class PeerObject {
    private let object: OpaquePointer

    init(_ file: String) throws {
        guard let object = bpf_object__open_file(file, nil) else { throw BenchmarkFailure(call: "opening \(file)") }
        guard bpf_object__load(object) == 0 else {
            bpf_object__close(object)
            throw BenchmarkFailure("the kernel does not take \(file)")
        }
        self.object = object
    }

    deinit { bpf_object__close(object) }

    func program(_ name: String) throws -> CInt { bpf_program__fd(try find(name)) }

    /// Each `struct bpf_insn` as a number.
    func instructions(_ name: String) throws -> [UInt64] {
        let program = try find(name)
        guard let instructions = bpf_program__insns(program) else { throw BenchmarkFailure("\(name) has no instructions") }
        return UnsafeRawBufferPointer(start: instructions, count: bpf_program__insn_cnt(program) * 8).withMemoryRebound(
            to: UInt64.self, Array.init)
    }

    private func find(_ name: String) throws -> OpaquePointer {
        guard let program = bpf_object__find_program_by_name(object, name) else {
            throw BenchmarkFailure("\(name) is not among the filters in C")
        }
        return program
    }
}
