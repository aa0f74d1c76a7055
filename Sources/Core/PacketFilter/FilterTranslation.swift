// SPDX-License-Identifier: LGPL-2.1-or-later

/// Translates classic BPF, as libpcap compiles a pcap-filter(7) expression, to eBPF.
///
/// The result has two bodies. The fast path reads the linear part of the frame directly. Where that does not suffice it goes on in the
/// slow path, which loads with a helper. docs/decisions/0009-filter-translation.md says why.
public enum FilterTranslation {
    /// Changes whenever the translation of a filter changes, so that programs of an older version are replaced.
    public static let version = 2

    /// A function of eBPF: the program's context (`struct __sk_buff *`) in r1; r0 is 0 when the frame does not match, else
    /// another number. It has a stack frame and r6 to r9 of its own, as in a BPF-to-BPF call, and uses about 64 bytes of stack. It is also a
    /// complete program of type BPF_PROG_TYPE_SCHED_CLS.
    ///
    /// What it answers is what the kernel's socket filter would answer about the same frame: a load beyond the frame's end
    /// and a division by 0 are no match, arithmetic is in 32 bits, shifts count modulo 32. One case differs: the
    /// kernel takes a computed negative offset as relative to another header; here it is no match, as in libpcap.
    ///
    /// It needs Linux 5.11, CAP_BPF and CAP_NET_ADMIN; it reads packets directly, calls bpf_skb_load_bytes, and changes nothing.
    /// - Returns: `struct bpf_insn` of linux/bpf.h each, in the machine's byte order.
    /// - Throws: `FilterError.tooLarge` when a jump cannot span it, or one path has more branches than the verifier can keep pending: from
    ///   about 16,000 instructions on.
    public static func translate(_ program: ClassicProgram) throws(FilterError) -> [UInt64] {
        let liveness = Liveness(program.operations)
        var emission = Emission(program.operations, liveness)
        var fast = FastPath(FastGraph(program.operations, liveness), liveness, &emission)
        let entries = fast.write(&emission)
        if !entries.isEmpty {
            var slow = SlowPath(entries, &emission)
            slow.write(&emission)
        }
        guard let instructions = emission.assembler.finished(), PendingBranches.most(instructions) <= PendingBranches.limit else {
            throw .tooLarge(instructions: program.instructions.count)
        }
        return instructions
    }
}

/// Emits what is the same in the fast path and in the slow path.
struct Emission {
    var assembler = Assembler()
    let operations: [ClassicOperation]
    /// At each instruction, the width in which A is still in network byte order; `nil`: A is an ordinary number.
    let widths: [LoadWidth?]

    init(_ operations: [ClassicOperation], _ liveness: Liveness) {
        var order = ByteOrder(operations, liveness)
        self.operations = operations
        widths = operations.indices.map { order.width(at: $0) }
    }

    /// Converts A from network byte order, unless everything that reads it can use that order.
    mutating func convert(_ width: LoadWidth, at position: Int) {
        if width != .byte, widths[position] == nil { assembler.emit(EBPF.fromNetwork(Layout.a, bytes: width.rawValue)) }
    }

    mutating func arithmetic(_ arithmetic: Arithmetic, _ operand: Operand, at position: Int, noMatch: Assembler.Label) {
        switch operand {
        case .constant(let constant):
            let constant = widths[position]?.asLoaded(constant) ?? constant
            assembler.emit(EBPF.arithmetic32(arithmetic.rawValue, Layout.a, constant: constant))
        case .x:
            // In eBPF a division by 0 gives 0 and goes on; in classic BPF it is no match.
            if arithmetic.divides { assembler.emit(EBPF.jump32(Comparison.equal.rawValue, Layout.x, constant: 0), to: noMatch) }
            assembler.emit(EBPF.arithmetic32(arithmetic.rawValue, Layout.a, Layout.x))
        }
    }

    /// - Parameter next: the label of the instruction that is emitted next, if it is one of the two targets.
    mutating func branch(
        _ comparison: Comparison, _ operand: Operand, at position: Int, _ whenTrue: Assembler.Label, _ whenFalse: Assembler.Label,
        next: Assembler.Label?
    ) {
        let operand: Operand =
            if case .constant(let constant) = operand { .constant(widths[position]?.asLoaded(constant) ?? constant) } else { operand }
        if next == whenTrue, let opposite = comparison.opposite {
            jump(opposite, operand, to: whenFalse)
        } else {
            jump(comparison.rawValue, operand, to: whenTrue)
            if next != whenFalse { assembler.emit(EBPF.jump, to: whenFalse) }
        }
    }

    private mutating func jump(_ operation: UInt8, _ operand: Operand, to label: Assembler.Label) {
        switch operand {
        case .constant(let constant): assembler.emit(EBPF.jump32(operation, Layout.a, constant: constant), to: label)
        case .x: assembler.emit(EBPF.jump32(operation, Layout.a, Layout.x), to: label)
        }
    }

    mutating func metadatum(_ metadatum: Metadatum, _ register: ClassicRegister) {
        let to = Layout.register(register)
        assembler.emit(EBPF.load(to, Layout.context, metadatum.offset, bytes: 4))
        // The kernel keeps it as a __be16 in a field of 32 bits.
        if metadatum == .vlanProtocol { assembler.emit(EBPF.fromNetwork(to, bytes: 2)) }
    }

    mutating func returnA() {
        assembler.emit(EBPF.move32(Layout.result, Layout.a))
        assembler.emit(EBPF.exit)
    }

    mutating func returns(_ value: UInt32, at label: Assembler.Label) {
        assembler.place(label)
        assembler.emit(EBPF.move32(Layout.result, constant: value))
        assembler.emit(EBPF.exit)
    }
}

/// The registers of eBPF and the stack slots below r10, and what they hold.
enum Layout {
    static let context: EBPF.Register = 6
    static let a: EBPF.Register = 7
    static let x: EBPF.Register = 8
    static let end: EBPF.Register = 10
    static let result: EBPF.Register = 0
    /// Only in the fast path: the begin and the end of the frame's linear part.
    static let data: EBPF.Register = 2
    static let dataEnd: EBPF.Register = 3
    /// Registers that hold scratch slots in the fast path; further slots are on the stack. The kernel follows the first write to a stack slot
    /// with a barrier against speculation when the loader has no CAP_PERFMON.
    static let forSlots: [EBPF.Register] = [9, 1, 4, 5]

    /// Stack offset of the bytes that a helper loads.
    static let loaded: Int16 = -4
    /// Stack offset of a scratch slot of 4 bytes.
    static func slot(_ number: Int) -> Int16 { -8 - 4 * Int16(number) }

    static func register(_ register: ClassicRegister) -> EBPF.Register { register == .a ? a : x }
}
