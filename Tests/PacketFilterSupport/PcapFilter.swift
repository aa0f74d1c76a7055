// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibpcap
public import PacketFilter

/// An expression as libpcap compiled it, or a program of classic BPF, and libpcap's interpreter for it: the oracle for
/// frames without a tag beside them.
public final class PcapFilter {
    /// `struct bpf_program`: bf_len, and 8 bytes from the start bf_insns.
    private let program = UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 8)
    /// Of a program that did not come from libpcap.
    private let words: UnsafeMutablePointer<UInt64>?
    public let instructions: [ClassicInstruction]

    /// What libpcap said of an expression.
    public struct Refused: Error, CustomStringConvertible {
        public var description: String
    }

    /// Compiles for whatever device or file a handle stands for, with the optimiser and netmask 0.
    public init(_ expression: String, _ handle: PcapHandle) throws {
        guard UntypedCalls.pcapCompile(handle.pointer, program, expression, 1, 0) == 0 else {
            program.deallocate()
            throw Refused(description: "\(expression): \(String(cString: pcap_geterr(handle.pointer)))")
        }
        words = nil
        let first = program.load(fromByteOffset: 8, as: UnsafeRawPointer.self)
        instructions = (0..<Int(program.load(as: UInt32.self))).map {
            ClassicInstruction(word: first.load(fromByteOffset: 8 * $0, as: UInt64.self))
        }
    }

    public init(_ instructions: [ClassicInstruction]) {
        let words = UnsafeMutablePointer<UInt64>.allocate(capacity: instructions.count)
        for (place, one) in instructions.enumerated() { words[place] = one.word }
        self.words = words
        self.instructions = instructions
        program.storeBytes(of: UInt32(instructions.count), as: UInt32.self)
        program.storeBytes(of: UnsafeRawPointer(words), toByteOffset: 8, as: UnsafeRawPointer.self)
    }

    deinit {
        if let words { words.deallocate() } else { UntypedCalls.pcapFreeCode(program) }
        program.deallocate()
    }

    /// `pcap_offline_filter`.
    public func matches(_ frame: [UInt8]) -> Bool {
        var header = pcap_pkthdr()
        header.caplen = UInt32(frame.count)
        header.len = UInt32(frame.count)
        return UntypedCalls.pcapOfflineFilter(program, &header, frame) != 0
    }
}
