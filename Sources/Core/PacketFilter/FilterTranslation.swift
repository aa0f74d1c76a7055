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
    /// another header's position, an offset below 0 that comes of arithmetic, is no match here, as with libpcap.
    ///
    /// It needs Linux 5.11, CAP_BPF and CAP_NET_ADMIN; it reads packets directly, calls bpf_skb_load_bytes, and changes nothing.
    /// - Returns: `struct bpf_insn` of linux/bpf.h each, in the machine's byte order.
    /// - Throws: `FilterError.tooLarge` when a jump does not reach over it, or it has more branches on one path than the verifier
    ///   keeps in mind: from some sixteen thousand instructions on.
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

/// What both copies write down in the same way.
struct Emission {
    var assembler = Assembler()
    let operations: [ClassicOperation]
    /// In which order A's bytes are at each instruction: `nil` for a number as usual.
    let widths: [LoadWidth?]

    init(_ operations: [ClassicOperation], _ liveness: Liveness) {
        var order = ByteOrder(operations, liveness)
        self.operations = operations
        widths = operations.indices.map { order.width(at: $0) }
    }

    /// A := what was loaded so, unless all that reads it can do without.
    mutating func convert(_ width: LoadWidth, at position: Int) {
        if width != .byte, widths[position] == nil { assembler.emit(EBPF.fromNetwork(Layout.a, bytes: width.rawValue)) }
    }

    mutating func arithmetic(_ arithmetic: Arithmetic, _ operand: Operand, at position: Int, noMatch: Assembler.Label) {
        switch operand {
        case .constant(let constant):
            let constant = widths[position]?.asLoaded(constant) ?? constant
            assembler.emit(EBPF.arithmetic32(arithmetic.rawValue, Layout.a, constant: constant))
        case .x:
            // eBPF itself would go on with 0.
            if arithmetic.divides { assembler.emit(EBPF.jump32(Comparison.equal.rawValue, Layout.x, constant: 0), to: noMatch) }
            assembler.emit(EBPF.arithmetic32(arithmetic.rawValue, Layout.a, Layout.x))
        }
    }

    /// - Parameter next: what the next instruction will be, if it is one of the two.
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
        // A __be16 in 32 bits.
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

/// Which registers of eBPF and which positions below r10 hold what.
enum Layout {
    static let context: EBPF.Register = 6
    static let a: EBPF.Register = 7
    static let x: EBPF.Register = 8
    static let end: EBPF.Register = 10
    static let result: EBPF.Register = 0
    /// In the fast path: where the linear part begins and ends.
    static let data: EBPF.Register = 2
    static let dataEnd: EBPF.Register = 3
    /// In the fast path, scratch slots are here as far as these go: the first write to a position on the stack is followed by
    /// a barrier against speculation when the loader has no CAP_PERFMON.
    static let forSlots: [EBPF.Register] = [9, 1, 4, 5]

    /// What a helper loads.
    static let loaded: Int16 = -4
    /// Four bytes each.
    static func slot(_ number: Int) -> Int16 { -8 - 4 * Int16(number) }

    static func register(_ register: ClassicRegister) -> EBPF.Register { register == .a ? a : x }
}
