// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibpcap
public import PacketFilter

/// An expression as libpcap compiled it, or a program of classic BPF, and libpcap's interpreter for it: the oracle for
/// frames without a tag beside them.
public final class PcapFilter {
    private var program = bpf_program()
    /// Of a program that did not come from libpcap.
    private let words: UnsafeMutablePointer<UInt64>?
    public let instructions: [ClassicInstruction]

    /// What libpcap said of an expression.
    public struct Refused: Error, CustomStringConvertible {
        public var description: String
    }

    /// Compiles for whatever device or file a handle stands for, with the optimiser and netmask 0.
    public init(_ expression: String, _ handle: PcapHandle) throws {
        var compiled = bpf_program()
        guard pcap_compile(handle.pointer, &compiled, expression, 1, 0) == 0 else {
            throw Refused(description: "\(expression): \(String(cString: pcap_geterr(handle.pointer)))")
        }
        program = compiled
        words = nil
        instructions = UnsafeBufferPointer(start: compiled.bf_insns, count: Int(compiled.bf_len)).map {
            ClassicInstruction(code: $0.code, jumpTrue: $0.jt, jumpFalse: $0.jf, constant: $0.k)
        }
    }

    public init(_ instructions: [ClassicInstruction]) {
        let words = UnsafeMutablePointer<UInt64>.allocate(capacity: instructions.count)
        for (place, one) in instructions.enumerated() { words[place] = one.word }
        self.words = words
        self.instructions = instructions
        program.bf_len = UInt32(instructions.count)
        program.bf_insns = UnsafeMutableRawPointer(words).assumingMemoryBound(to: clibpcap_insn.self)
    }

    deinit {
        if let words { words.deallocate() } else { pcap_freecode(&program) }
    }

    /// `pcap_offline_filter`.
    public func matches(_ frame: [UInt8]) -> Bool {
        var header = pcap_pkthdr()
        header.caplen = UInt32(frame.count)
        header.len = UInt32(frame.count)
        return pcap_offline_filter(&program, &header, frame) != 0
    }
}
