// SPDX-License-Identifier: LGPL-2.1-or-later

/// A classic BPF program that was found to be well formed.
public struct ClassicProgram: Hashable, Sendable {
    public let instructions: [ClassicInstruction]

    /// - Throws: `FilterError.malformed` when it is not what libpcap emits.
    public init(_ instructions: [ClassicInstruction]) throws(FilterError) {
        guard !instructions.isEmpty else { throw .malformed("it is empty") }
        self.instructions = instructions
    }
}
