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

    func program(_ name: String) throws -> CInt {
        guard let program = bpf_object__find_program_by_name(object, name) else {
            throw BenchmarkFailure("\(name) is not among the filters in C")
        }
        return bpf_program__fd(program)
    }
}
