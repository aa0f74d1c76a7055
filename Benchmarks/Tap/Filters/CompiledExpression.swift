// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import PacketFilter
import TapModel

/// A pcap-filter(7) expression as libpcap compiles it for Ethernet, optimised: the same classic BPF for everybody.
///
/// By tcpdump, since libpcap's `struct bpf_insn` is not the one of linux/bpf.h, and a Swift module has room for one of
/// that name.
struct CompiledExpression {
    let expression: String
    let instructions: [ClassicInstruction]

    init(_ expression: String) throws {
        self.expression = expression
        // How many there are, then one a line: code, jumps, constant.
        let numbers = try run("tcpdump", "-y", "EN10MB", "-ddd", expression).split(whereSeparator: \.isWhitespace).compactMap { UInt32($0) }
        guard let count = numbers.first, numbers.count == 1 + 4 * Int(count) else { throw BenchmarkFailure("tcpdump -ddd: \(numbers)") }
        instructions = (0..<Int(count)).map { line in
            let fields = numbers[(1 + 4 * line)...].prefix(4).map { $0 }
            return ClassicInstruction(
                code: UInt16(fields[0]), jumpTrue: UInt8(fields[1]), jumpFalse: UInt8(fields[2]), constant: fields[3])
        }
    }

    /// For our tap.
    var compiled: CompiledFilter { CompiledFilter(expression: expression, instructions: instructions.map(\.word)) }

    /// For `tc filter … bpf bytecode`.
    var bytecode: String {
        let lines = instructions.map { "\($0.code) \($0.jumpTrue) \($0.jumpFalse) \($0.constant)" }
        return "\(instructions.count),\(lines.joined(separator: ","))"
    }
}
