// SPDX-License-Identifier: LGPL-2.1-or-later

/// A classic BPF program that was found to be well formed: every path ends in a return, each instruction is known and
/// reads what is there. Scratch memory is 0 before it is written: the kernel refuses a socket filter that reads it earlier,
/// but libpcap makes such a one of `vlan and pppoes`.
public struct ClassicProgram: Hashable, Sendable {
    public let instructions: [ClassicInstruction]
    /// The same, read.
    let operations: [ClassicOperation]

    /// libpcap makes more than the 4,096 (`BPF_MAXINSNS`) that the kernel accepts of a socket filter.
    public static let maximumCount = 32_768

    /// - Throws: `FilterError.malformed` when it is not what libpcap emits, `.unsupported` when it asks for something that
    ///   a tap cannot answer, `.tooLarge` above `maximumCount`.
    public init(_ instructions: [ClassicInstruction]) throws(FilterError) {
        guard !instructions.isEmpty else { throw .malformed("it is empty") }
        guard instructions.count <= Self.maximumCount else { throw .tooLarge(instructions: instructions.count) }
        let decoder = ClassicDecoder(count: instructions.count)
        var operations: [ClassicOperation] = []
        operations.reserveCapacity(instructions.count)
        for (place, instruction) in instructions.enumerated() {
            operations.append(try decoder.decode(instruction, at: place))
        }
        // All jumps go forward, so that with a return at the end every path has one.
        guard operations[operations.count - 1].successors(0).isEmpty else { throw .malformed("it does not end in a return") }
        self.instructions = instructions
        self.operations = operations
    }
}
