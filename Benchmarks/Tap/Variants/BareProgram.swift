// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import DataplaneTestSupport
import Glibc

/// A hand-written program at the place where our tap would be: the cost of the hook, and of the clone, by themselves.
struct BareProgram: Attached {
    private let program: HandWritten
    private let device: String
    private let link: CInt

    init(_ program: HandWritten, on path: any ForwardingPath) throws {
        self.program = program
        device = path.guest.name
        let index = CInt(path.guest.index)
        link = bpf_link_create(program.program, index, bpf_attach_type(CLIBBPF_TCX_INGRESS.rawValue), nil)
        guard link < 0 else { return }
        try run("tc", "qdisc", "add", "dev", device, "clsact")
        guard clibbpf_filter_attach(index, 0, 1, 1, program.program, 0) == 0 else { throw BenchmarkFailure(call: "attaching to \(device)") }
    }

    func detach() throws {
        if link >= 0 { close(link) } else { try run("tc", "qdisc", "del", "dev", device, "clsact") }
    }
}
