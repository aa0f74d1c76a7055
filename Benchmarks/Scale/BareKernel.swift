// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import DataplaneTestSupport
import Foundation

/// The least that anybody can do to attach something by TCX: one empty program, a link for each device and direction.
final class BareKernel {
    private var links: [CInt] = []

    func attach(to devices: [TapDevice]) throws {
        // r0 = -1 (TCX_NEXT); exit
        var instructions = [bpf_insn(), bpf_insn()]
        instructions[0].code = 0xB7
        instructions[0].imm = -1
        instructions[1].code = 0x95
        for device in devices {
            for type in [CLIBBPF_TCX_INGRESS, CLIBBPF_TCX_EGRESS] {
                let program = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "bench_empty", "GPL", &instructions, instructions.count, nil)
                guard program >= 0 else { throw BenchmarkFailure(description: "load: \(String(cString: strerror(errno)))") }
                defer { close(program) }
                let link = bpf_link_create(program, CInt(device.index), bpf_attach_type(type.rawValue), nil)
                guard link >= 0 else { throw BenchmarkFailure(description: "\(device.name): \(String(cString: strerror(errno)))") }
                links.append(link)
            }
        }
    }

    func detach() {
        for link in links {
            bpf_link_detach(link)
            close(link)
        }
        links = []
    }
}
