// SPDX-License-Identifier: LGPL-2.1-or-later

/// Emits the slow path, which works for every frame: each load calls bpf_skb_load_bytes, which also reads beyond the linear part and fails
/// beyond the end of the frame. Scratch slots are on the stack.
struct SlowPath {
    private var labels: [Assembler.Label?]
    private var noMatch: Assembler.Label
    private var match: Assembler.Label

    /// - Parameter entries: the labels of the positions at which the fast path enters.
    init(_ entries: [Int: Assembler.Label], _ emission: inout Emission) {
        noMatch = emission.assembler.label()
        match = emission.assembler.label()
        labels = Array(repeating: nil, count: emission.operations.count)
        for (position, label) in entries { labels[position] = label }
        // All jumps go forward.
        for position in emission.operations.indices where labels[position] != nil {
            for next in emission.operations[position].successors(position) where labels[next] == nil {
                labels[next] = emission.assembler.label()
            }
        }
    }

    mutating func write(_ emission: inout Emission) {
        for position in emission.operations.indices {
            guard let label = labels[position] else { continue }
            emission.assembler.place(label)
            write(emission.operations[position], at: position, &emission)
        }
        emission.returns(0, at: noMatch)
        emission.returns(1, at: match)
    }

    private func write(_ operation: ClassicOperation, at position: Int, _ emission: inout Emission) {
        switch operation {
        case .loadAbsolute(let offset, let width):
            emission.assembler.emit(EBPF.move32(2, constant: offset))
            load(width, to: Layout.a, &emission)
            emission.convert(width, at: position)
        case .loadIndirect(let offset, let width):
            // The sum is modulo 2³². The helper takes a negative offset as beyond the end.
            emission.assembler.emit(EBPF.move32(2, Layout.x))
            if offset != 0 { emission.assembler.emit(EBPF.arithmetic32(Arithmetic.add.rawValue, 2, constant: offset)) }
            load(width, to: Layout.a, &emission)
            emission.convert(width, at: position)
        case .loadHeaderLength(let offset):
            emission.assembler.emit(EBPF.move32(2, constant: offset))
            load(.byte, to: Layout.x, &emission)
            emission.assembler.emit(EBPF.arithmetic32(Arithmetic.and.rawValue, Layout.x, constant: 0x0F))
            emission.assembler.emit(EBPF.arithmetic32(Arithmetic.shiftLeft.rawValue, Layout.x, constant: 2))
        case .loadMetadatum(let metadatum, let register): emission.metadatum(metadatum, register)
        case .loadConstant(let constant, let register):
            emission.assembler.emit(EBPF.move32(Layout.register(register), constant: constant))
        case .loadScratch(let slot, let register):
            emission.assembler.emit(EBPF.load(Layout.register(register), Layout.end, Layout.slot(slot), bytes: 4))
        case .store(let slot, let register):
            emission.assembler.emit(EBPF.store(Layout.end, Layout.slot(slot), Layout.register(register), bytes: 4))
        case .arithmetic(let arithmetic, let operand): emission.arithmetic(arithmetic, operand, at: position, noMatch: noMatch)
        case .negate: emission.assembler.emit(EBPF.negate32(Layout.a))
        case .copyAToX: emission.assembler.emit(EBPF.move32(Layout.x, Layout.a))
        case .copyXToA: emission.assembler.emit(EBPF.move32(Layout.a, Layout.x))
        case .jump(let target):
            if target != position + 1 { emission.assembler.emit(EBPF.jump, to: label(target, emission)) }
        case .branch(let comparison, let operand, let whenTrue, let whenFalse) where whenTrue != whenFalse:
            let next = labels.indices.contains(position + 1) ? labels[position + 1] : nil
            emission.branch(comparison, operand, at: position, label(whenTrue, emission), label(whenFalse, emission), next: next)
        case .branch(_, _, let target, _):
            if target != position + 1 { emission.assembler.emit(EBPF.jump, to: label(target, emission)) }
        case .returnConstant(let constant): emission.assembler.emit(EBPF.jump, to: constant == 0 ? noMatch : match)
        case .returnA: emission.returnA()
        }
    }

    /// The label of a position; of a return the label of the shared return, to save a jump to a jump.
    private func label(_ target: Int, _ emission: Emission) -> Assembler.Label {
        if case .returnConstant(let constant) = emission.operations[target] { return constant == 0 ? noMatch : match }
        return labels[target]!
    }

    /// Calls bpf_skb_load_bytes(context, r2, stack, width) and puts the loaded bytes into a register, in network byte order.
    private func load(_ width: LoadWidth, to register: EBPF.Register, _ emission: inout Emission) {
        emission.assembler.emit(EBPF.move(1, Layout.context))
        emission.assembler.emit(EBPF.move(3, Layout.end))
        emission.assembler.emit(EBPF.add64(3, Int32(Layout.loaded)))
        emission.assembler.emit(EBPF.move32(4, constant: UInt32(width.rawValue)))
        emission.assembler.emit(EBPF.call(helper: 26))
        emission.assembler.emit(EBPF.jump64(0x50, Layout.result, constant: 0), to: noMatch)
        emission.assembler.emit(EBPF.load(register, Layout.end, Layout.loaded, bytes: width.rawValue))
    }
}
