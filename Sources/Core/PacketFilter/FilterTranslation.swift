// SPDX-License-Identifier: LGPL-2.1-or-later

/// Classic BPF, as libpcap makes it of a pcap-filter(7) expression, to eBPF. docs/decisions/0009-filter-translation.md
/// says what it makes of it, and why.
public enum FilterTranslation {
    /// Changes whenever the same filter is translated otherwise, so that programs of an older version are replaced.
    public static let version = 2

    /// A function of eBPF: the program's context (`struct __sk_buff *`) in r1; r0 is 0 when the frame does not match, else
    /// another number. It has its own frame, as a BPF-to-BPF call gives it (64 bytes or so, and r6 to r9), and is a whole program
    /// of type BPF_PROG_TYPE_SCHED_CLS just as well.
    ///
    /// What it answers is what the kernel's socket filter would answer about the same frame: a load beyond the frame's end
    /// and a division by 0 are no match, arithmetic is in 32 bits, shifts count modulo 32. Only what the kernel takes as
    /// another header's place, an offset below 0 that comes of arithmetic, is no match here, as with libpcap.
    ///
    /// It needs Linux 5.11, CAP_BPF and CAP_NET_ADMIN; it reads packets directly, calls bpf_skb_load_bytes, and changes nothing.
    /// - Returns: `struct bpf_insn` of linux/bpf.h each, in the machine's byte order.
    /// - Throws: `FilterError.tooLarge` when a jump does not reach over it, or it has more branches on one path than the verifier
    ///   keeps in mind: from some sixteen thousand instructions on.
    public static func translate(_ program: ClassicProgram) throws(FilterError) -> [UInt64] {
        let liveness = Liveness(program.operations)
        var emission = Emission(program.operations, liveness)
        var fast = FastCopy(FastGraph(program.operations, liveness), liveness, &emission)
        let entries = fast.write(&emission)
        if !entries.isEmpty {
            var slow = SlowCopy(entries, &emission)
            slow.write(&emission)
        }
        guard let instructions = emission.assembler.finished(), PendingBranches.most(instructions) <= PendingBranches.limit else {
            throw .tooLarge(instructions: program.instructions.count)
        }
        return instructions
    }
}
