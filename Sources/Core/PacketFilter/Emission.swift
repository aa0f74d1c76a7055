// SPDX-License-Identifier: LGPL-2.1-or-later

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
    mutating func convert(_ width: LoadWidth, at place: Int) {
        if width != .byte, widths[place] == nil { assembler.emit(EBPF.fromNetwork(Frame.a, bytes: width.rawValue)) }
    }

    mutating func arithmetic(_ arithmetic: Arithmetic, _ operand: Operand, at place: Int, noMatch: Assembler.Label) {
        switch operand {
        case .constant(let constant):
            let constant = widths[place]?.asLoaded(constant) ?? constant
            assembler.emit(EBPF.arithmetic32(arithmetic.rawValue, Frame.a, constant: constant))
        case .x:
            // eBPF itself would go on with 0.
            if arithmetic.divides { assembler.emit(EBPF.jump32(Comparison.equal.rawValue, Frame.x, constant: 0), to: noMatch) }
            assembler.emit(EBPF.arithmetic32(arithmetic.rawValue, Frame.a, Frame.x))
        }
    }

    /// - Parameter next: what the next instruction will be, if it is one of the two.
    mutating func branch(
        _ comparison: Comparison, _ operand: Operand, at place: Int, _ whenTrue: Assembler.Label, _ whenFalse: Assembler.Label,
        next: Assembler.Label?
    ) {
        let operand: Operand =
            if case .constant(let constant) = operand { .constant(widths[place]?.asLoaded(constant) ?? constant) } else { operand }
        if next == whenTrue, let opposite = comparison.opposite {
            jump(opposite, operand, to: whenFalse)
        } else {
            jump(comparison.rawValue, operand, to: whenTrue)
            if next != whenFalse { assembler.emit(EBPF.jump, to: whenFalse) }
        }
    }

    private mutating func jump(_ operation: UInt8, _ operand: Operand, to label: Assembler.Label) {
        switch operand {
        case .constant(let constant): assembler.emit(EBPF.jump32(operation, Frame.a, constant: constant), to: label)
        case .x: assembler.emit(EBPF.jump32(operation, Frame.a, Frame.x), to: label)
        }
    }

    mutating func metadatum(_ metadatum: Metadatum, _ register: ClassicRegister) {
        let to = Frame.register(register)
        assembler.emit(EBPF.load(to, Frame.context, metadatum.offset, bytes: 4))
        // A __be16 in 32 bits.
        if metadatum == .vlanProtocol { assembler.emit(EBPF.fromNetwork(to, bytes: 2)) }
    }

    mutating func returnA() {
        assembler.emit(EBPF.move32(Frame.result, Frame.a))
        assembler.emit(EBPF.exit)
    }

    mutating func returns(_ value: UInt32, at label: Assembler.Label) {
        assembler.place(label)
        assembler.emit(EBPF.move32(Frame.result, constant: value))
        assembler.emit(EBPF.exit)
    }
}
