// SPDX-License-Identifier: LGPL-2.1-or-later

/// Why a filter cannot be carried out.
public enum FilterError: Error, Hashable, Sendable {
    /// Not classic BPF that ends, stays within itself and asks only for what the frame holds; the text says what is wrong.
    case malformed(String)
    /// It asks for what this host's side of the guest cannot tell, as `inbound` does, or for a loop, as `protochain` does;
    /// the text says what, and what to write instead.
    case unsupported(String)
    /// So many instructions that a jump, or the verifier, does not reach over them.
    case tooLarge(instructions: Int)
}
