// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc

/// A small eBPF classifier, written down instruction by instruction, and loaded.
final class HandWritten {
    let program: CInt

    /// One `struct bpf_insn` as a number: the code in bits 0 to 7, then registers, offset, and the constant in the upper half.
    private static func word(
        _ code: UInt8, to: UInt64 = 0, from: UInt64 = 0, offset: Int16 = 0, constant: Int32 = 0
    ) -> UInt64 {
        UInt64(code) | to << 8 | from << 12 | UInt64(UInt16(bitPattern: offset)) << 16 | UInt64(UInt32(bitPattern: constant)) << 32
    }

    init(_ name: String, _ words: [UInt64], type: bpf_prog_type = BPF_PROG_TYPE_SCHED_CLS) throws {
        program = try words.withUnsafeBufferPointer { words in
            try words.withMemoryRebound(to: bpf_insn.self) { instructions in
                // The verifier's words are worth having, and only when it refuses.
                var log = [CChar](repeating: 0, count: 1 << 16)
                var options = bpf_prog_load_opts()
                options.sz = MemoryLayout<bpf_prog_load_opts>.size
                var program = bpf_prog_load(type, name, "GPL", instructions.baseAddress, instructions.count, &options)
                if program < 0 {
                    program = log.withUnsafeMutableBufferPointer { log in
                        options.log_buf = log.baseAddress
                        options.log_size = UInt32(log.count)
                        options.log_level = 1
                        return bpf_prog_load(type, name, "GPL", instructions.baseAddress, instructions.count, &options)
                    }
                }
                guard program >= 0 else {
                    let text = String(decoding: log.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                    throw BenchmarkFailure("loading \(name): \(String(cString: strerror(errno)))\n\(text.suffix(2_000))")
                }
                return program
            }
        }
    }

    deinit { close(program) }

    /// Says that whatever comes next decides, and does nothing else: r0 = -1 (TCX_NEXT, TC_ACT_UNSPEC); exit.
    static func passing() throws -> HandWritten {
        try HandWritten("bench_passing", [word(move, constant: -1), word(exit)])
    }

    /// A filter that matches nothing: r0 = 0; exit.
    static var rejectingWords: [UInt64] { [word(move), word(exit)] }

    static func rejecting() throws -> HandWritten { try HandWritten("bench_reject", rejectingWords) }

    /// Calls a filter so many times, one call behind the other, and has the last one's answer: what the filter itself takes
    /// is then a larger part of what is measured.
    /// - Parameter filter: a whole program, which becomes a function.
    static func calling(_ filter: [UInt64], times: Int) throws -> HandWritten {
        // r6 = r1; so many times r1 = r6 and a call (BPF_PSEUDO_CALL), which counts from the next instruction; exit.
        let length = 2 + 2 * times
        var words = [word(0xBF, to: 6, from: 1)]
        for _ in 0..<times {
            words.append(word(0xBF, to: 1, from: 6))
            words.append(word(0x85, from: 1, constant: Int32(length - words.count - 1)))
        }
        return try HandWritten("bench_calling", words + [word(exit)] + filter)
    }

    /// The least that makes a copy: bpf_clone_redirect, without counters, marks or a destination that can be exchanged.
    static func cloning(to device: UInt32) throws -> HandWritten {
        let cloneRedirect = Int32(bitPattern: BPF_FUNC_clone_redirect.rawValue)
        return try HandWritten(
            "bench_cloning",
            [
                word(move, to: 2, constant: Int32(bitPattern: device)), word(move, to: 3),
                word(0x85, constant: cloneRedirect), word(move, constant: -1), word(exit),
            ])
    }

    /// Counts frames, their bytes and GSO packets in the first value of an array, and drops them.
    static func counting(in map: CInt) throws -> HandWritten {
        let length: Int16 = 0  // len and gso_size in struct __sk_buff
        let segmentSize: Int16 = 176
        // Atomic, since guests' traffic comes on every processor.
        func add(at offset: Int16) -> UInt64 { word(0xDB, to: 2, from: 3, offset: offset) }
        return try HandWritten(
            "bench_counting",
            [
                // r6 = r1, the context; r2 = the map's value (BPF_PSEUDO_MAP_VALUE)
                word(0xBF, to: 6, from: 1), word(0x18, to: 2, from: 2, constant: map), 0,
                word(move, to: 3, constant: 1), add(at: 0),
                word(0x61, to: 3, from: 6, offset: length), add(at: 8),
                word(0x61, to: 3, from: 6, offset: segmentSize), word(0x15, to: 3, offset: 2),
                word(move, to: 3, constant: 1), add(at: 16),
                // TC_ACT_SHOT
                word(move, constant: 2), word(exit),
            ])
    }

    private static let move: UInt8 = 0xB7
    private static let exit: UInt8 = 0x95
}
