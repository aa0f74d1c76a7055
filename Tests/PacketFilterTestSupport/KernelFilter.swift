// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
import PacketFilter

/// A translated filter in the kernel. Needs CAP_BPF and CAP_NET_ADMIN.
public final class KernelFilter: Sendable {
    public let descriptor: CInt

    /// The kernel refused a program.
    public struct Refused: Error, CustomStringConvertible {
        public var number: CInt
        /// The last lines of what the verifier says.
        public var log: String

        public var description: String { "\(String(cString: strerror(number))): \(log)" }
    }

    /// - Parameter function: a translated filter; it is called by a program that can shorten the frame first.
    public convenience init(function: [UInt64]) throws {
        let whole = [
            EBPF.move(6, 1),
            // cb[0] of struct __sk_buff; with 0 the frame stays as it is.
            EBPF.load(2, 1, 48, bytes: 4),
            EBPF.setting(EBPF.jump64(0x10, 2, constant: 0), offset: 2), EBPF.move32(3, constant: 0),
            // bpf_skb_change_tail
            EBPF.call(helper: 38), EBPF.move(1, 6), EBPF.call(function: 1), EBPF.exit,
        ]
        try self.init(whole + function)
    }

    /// - Parameter instructions: `struct bpf_insn` each.
    public init(_ instructions: [UInt64]) throws {
        var descriptor = Self.load(instructions, nil)
        if descriptor < 0 {
            var log = [CChar](repeating: 0, count: 1 << 20)
            descriptor = log.withUnsafeMutableBufferPointer { Self.load(instructions, $0) }
            guard descriptor >= 0 else {
                let text = String(decoding: log.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
                throw Refused(number: -descriptor, log: String(text.suffix(800)))
            }
        }
        self.descriptor = descriptor
    }

    private static func load(_ instructions: [UInt64], _ log: UnsafeMutableBufferPointer<CChar>?) -> CInt {
        var options = bpf_prog_load_opts()
        options.sz = MemoryLayout<bpf_prog_load_opts>.size
        // Only the verifier's last words.
        options.log_level = log == nil ? 0 : 1
        options.log_buf = log?.baseAddress
        options.log_size = UInt32(log?.count ?? 0)
        return instructions.withUnsafeBytes {
            bpf_prog_load(
                BPF_PROG_TYPE_SCHED_CLS, "filter", "GPL", $0.baseAddress!.assumingMemoryBound(to: bpf_insn.self), instructions.count,
                &options)
        }
    }

    deinit { close(descriptor) }

    /// How many instructions the verifier went through.
    public var verifiedInstructions: Int {
        var info = bpf_prog_info()
        return clibbpf_program_info(descriptor, &info) == 0 ? Int(info.verified_insns) : 0
    }

    /// BPF_PROG_TEST_RUN: what the program says of a frame that is in the linear part as a whole, without a tag beside it.
    ///
    /// Newer kernels run nothing on a frame whose type is IP and that has no room for an IP header; such a frame is made
    /// longer, and shortened by the program.
    /// - Parameter frame: at least 14 bytes.
    public func matches(_ frame: [UInt8]) throws -> Bool {
        let isIP = frame[12] == 0x08 && frame[13] == 0x00 || frame[12] == 0x86 && frame[13] == 0xDD
        guard isIP, frame.count < 14 + 40 else { return try run(frame, shortened: 0) != 0 }
        return try run(frame + [UInt8](repeating: 0xEE, count: 54 - frame.count), shortened: frame.count) != 0
    }

    private func run(_ frame: [UInt8], shortened length: Int) throws -> UInt32 {
        var context = __sk_buff()
        context.cb.0 = UInt32(length)
        return try frame.withUnsafeBytes { frame in
            try withUnsafePointer(to: &context) { context in
                var options = bpf_test_run_opts()
                options.sz = MemoryLayout<bpf_test_run_opts>.size
                options.data_in = frame.baseAddress
                options.data_size_in = UInt32(frame.count)
                if length > 0 {
                    options.ctx_in = UnsafeRawPointer(context)
                    options.ctx_size_in = UInt32(MemoryLayout<__sk_buff>.size)
                }
                options.`repeat` = 1
                let result = bpf_prog_test_run_opts(descriptor, &options)
                guard result == 0 else { throw Refused(number: -result, log: "BPF_PROG_TEST_RUN of \(frame.count) bytes") }
                return options.retval
            }
        }
    }
}
