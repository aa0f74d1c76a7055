// SPDX-License-Identifier: LGPL-2.1-or-later

/// A filter expression and what libpcap made of it.
///
/// The instructions are classic BPF, `struct sock_filter` of linux/filter.h each: `code` in bits 0 to 15, `jt` in 16 to 23, `jf` in
/// 24 to 31, `k` in 32 to 63. They were validated: they end with a return, jump only forwards and only within.
public struct CompiledFilter: Hashable, Sendable {
    /// The pcap-filter(7) expression, as the tap has it.
    public var expression: String
    public var instructions: [UInt64]

    public init(expression: String, instructions: [UInt64]) {
        self.expression = expression
        self.instructions = instructions
    }
}
