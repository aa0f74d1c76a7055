// SPDX-License-Identifier: LGPL-2.1-or-later

public import PacketFilter

/// A filter in the kernel, translated, beside libpcap's interpreter and ours of the same classic program.
public final class FilterComparison {
    public let name: String
    private let oracle: PcapFilter
    private let interpreter: ClassicInterpreter
    /// It asks for the VLAN tag in skb metadata, for which `pcap_offline_filter` has no answer.
    private let asksForTag: Bool
    public let kernel: KernelFilter
    public var instructions: [ClassicInstruction] { oracle.instructions }
    /// Answers in which libpcap's interpreter is known to differ from the kernel's, and did.
    public private(set) var known = 0

    /// An answer that ought to be another.
    public struct Difference: CustomStringConvertible, Sendable {
        public var name: String
        public var frame: [UInt8]
        public var isFound: Bool
        public var ought: Bool
        public var instructions: [ClassicInstruction]

        public var description: String {
            let bytes = frame.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            let program = instructions.map {
                "\(String($0.code, radix: 16)) \($0.jumpTrue) \($0.jumpFalse) \(String($0.constant, radix: 16))"
            }
            return "\(name): \(isFound) instead of \(ought)\n  frame \(bytes)\n  program \(program.joined(separator: "; "))"
        }
    }

    /// - Throws: `FilterError`, or `KernelFilter.Refused`.
    public init(_ name: String, _ filter: PcapFilter) throws {
        self.name = name
        oracle = filter
        interpreter = ClassicInterpreter(filter.instructions)
        asksForTag = filter.instructions.contains { $0.code & 0xE7 == 0x20 && $0.constant >= 0xFFFF_F000 }
        kernel = try KernelFilter(function: FilterTranslation.translate(ClassicProgram(filter.instructions)))
    }

    /// What the translated filter says, and whether that is wrong.
    public struct Answer {
        public var isFound: Bool
        /// `nil` when all agree.
        public var difference: Difference?
    }

    /// - Parameter frame: 14 bytes or more.
    public func answer(_ frame: [UInt8]) throws -> Answer {
        let found = try kernel.matches(frame)
        let outcome = interpreter.run(frame)
        var ought = outcome.matches
        if !asksForTag, oracle.matches(frame) != ought {
            if outcome.mayDiffer { known += 1 } else { ought.toggle() }
        }
        guard found != ought else { return Answer(isFound: found) }
        return Answer(
            isFound: found,
            difference: Difference(name: name, frame: frame, isFound: found, ought: ought, instructions: oracle.instructions))
    }
}
