// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import DataplaneTestSupport
import Glibc

/// Somebody else's TC program: counts its runs, notes the mark and cb[0] that it finds, may set them, and answers.
final class ForeignProgram {
    let program: CInt
    private let map: CInt
    private var link: CInt = -1

    enum Answer: Sendable {
        /// To the next program.
        case goOn
        /// The packet goes its way; no program behind sees it.
        case accept
        case drop
        /// Out of another device.
        case redirect(ifindex: UInt32)
    }

    init(setting: (mark: Int32, cb: Int32)? = nil, answer: Answer = .goOn) throws {
        map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "foreign", 4, 24, 1, nil)
        guard map >= 0 else { throw CallFailure("foreign map") }
        func instruction(_ code: UInt8, _ to: UInt64 = 0, _ from: UInt64 = 0, _ offset: Int16 = 0, _ value: Int32 = 0) -> UInt64 {
            UInt64(code) | to << 8 | from << 12 | UInt64(UInt16(bitPattern: offset)) << 16 | UInt64(UInt32(bitPattern: value)) << 32
        }
        // struct __sk_buff: mark at 8, cb at 48.
        var code = [instruction(0xBF, 6, 1)]
        if let setting {
            code += [
                instruction(0xB7, 2, 0, 0, setting.mark), instruction(0x63, 6, 2, 8),
                instruction(0xB7, 2, 0, 0, setting.cb), instruction(0x63, 6, 2, 48),
            ]
        }
        code += [
            instruction(0x61, 7, 6, 8), instruction(0x61, 8, 6, 48), instruction(0x62, 10, 0, -4, 0),
            instruction(0x18, 1, 1, 0, map), 0, instruction(0xBF, 2, 10), instruction(0x07, 2, 0, 0, -4), instruction(0x85, 0, 0, 0, 1),
            instruction(0x15, 0, 0, 4, 0), instruction(0xB7, 1, 0, 0, 1), instruction(0xDB, 0, 1, 0), instruction(0x7B, 0, 7, 8),
            instruction(0x7B, 0, 8, 16),
        ]
        switch answer {
        case .goOn: code += [instruction(0xB7, 0, 0, 0, -1)]
        case .accept: code += [instruction(0xB7, 0, 0, 0, 0)]
        case .drop: code += [instruction(0xB7, 0, 0, 0, 2)]
        case .redirect(let ifindex):
            // bpf_redirect(ifindex, 0), which is the answer.
            code += [
                instruction(0xB7, 1, 0, 0, Int32(bitPattern: ifindex)), instruction(0xB7, 2, 0, 0, 0), instruction(0x85, 0, 0, 0, 23),
            ]
        }
        code.append(instruction(0x95))
        program = code.withUnsafeBytes {
            bpf_prog_load(
                BPF_PROG_TYPE_SCHED_CLS, "foreign", "GPL", $0.baseAddress!.assumingMemoryBound(to: bpf_insn.self), code.count, nil)
        }
        guard program >= 0 else { throw CallFailure("foreign program") }
    }

    deinit {
        for descriptor in [link, program, map] where descriptor >= 0 { close(descriptor) }
    }

    /// By TCX; last in the chain, or first.
    func attach(to ifindex: UInt32, egress: Bool, first: Bool = false) throws {
        var options = bpf_link_create_opts()
        options.sz = MemoryLayout<bpf_link_create_opts>.size
        options.flags = first ? UInt32(CLIBBPF_F_BEFORE.rawValue) : 0
        let type = bpf_attach_type(rawValue: UInt32((egress ? CLIBBPF_TCX_EGRESS : CLIBBPF_TCX_INGRESS).rawValue))
        link = bpf_link_create(program, CInt(ifindex), type, &options)
        guard link >= 0 else { throw CallFailure("foreign link") }
    }

    /// As a filter on a clsact qdisc that is there.
    func attachFilter(to ifindex: UInt32, egress: Bool, priority: UInt32, handle: UInt32) throws {
        guard clibbpf_filter_attach(CInt(ifindex), egress ? 1 : 0, priority, handle, program, 0) == 0 else { throw CallFailure("filter") }
    }

    var id: UInt32 {
        var info = bpf_prog_info()
        _ = clibbpf_program_info(program, &info)
        return info.id
    }

    var runs: Int { Int(value[0]) }
    var mark: UInt64 { value[1] }
    var cb: UInt64 { value[2] }

    private var value: [UInt64] {
        var value: [UInt64] = [0, 0, 0]
        var key: UInt32 = 0
        bpf_map_lookup_elem(map, &key, &value)
        return value
    }
}
