// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc

/// A map, program or link, held by an open file descriptor.
final class KernelObject {
    let descriptor: CInt

    init(owning descriptor: CInt) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// The kernel's id of a program.
    func programID() throws -> UInt32 {
        var info = bpf_prog_info()
        let result = clibbpf_program_info(descriptor, &info)
        guard result == 0 else { throw KernelError(call: .open, number: -result, subject: "program") }
        return info.id
    }
}
