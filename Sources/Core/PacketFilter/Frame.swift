// SPDX-License-Identifier: LGPL-2.1-or-later

/// Which registers of eBPF and which places below r10 hold what.
enum Frame {
    static let context: EBPF.Register = 6
    static let a: EBPF.Register = 7
    static let x: EBPF.Register = 8
    static let end: EBPF.Register = 10
    static let result: EBPF.Register = 0
    /// In the fast copy: where the linear part begins and ends.
    static let data: EBPF.Register = 2
    static let dataEnd: EBPF.Register = 3
    /// In the fast copy, scratch slots are here as far as these go: the first write to a place on the stack is followed by
    /// a barrier against speculation when the loader has no CAP_PERFMON.
    static let forSlots: [EBPF.Register] = [9, 1, 4, 5]

    /// What a helper loads.
    static let loaded: Int16 = -4
    /// Four bytes each.
    static func slot(_ number: Int) -> Int16 { -8 - 4 * Int16(number) }

    static func register(_ register: ClassicRegister) -> EBPF.Register { register == .a ? a : x }
}
