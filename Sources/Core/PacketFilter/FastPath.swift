// SPDX-License-Identifier: LGPL-2.1-or-later

/// Emits the fast path: it reads the linear part of the frame directly, calls no helper and uses little stack.
struct FastPath {
    private let graph: FastGraph
    private let liveness: Liveness
    private let slotRegisters: [Int: EBPF.Register]
    private var labels: [Assembler.Label] = []
    private var noMatch: Assembler.Label
    private var match: Assembler.Label
    /// Labels of the transitions to the slow path.
    private var exits: [FastNode.Target: Assembler.Label] = [:]
    private var exitsInOrder: [(position: Int, known: KnownValues)] = []

    init(_ graph: FastGraph, _ liveness: Liveness, _ emission: inout Emission) {
        self.graph = graph
        self.liveness = liveness
        var slots = Set<Int>()
        for node in graph.nodes { if case .store(let slot, _) = node.step { slots.insert(slot) } }
        slotRegisters = Dictionary(uniqueKeysWithValues: zip(slots.sorted(), Layout.forSlots))
        noMatch = emission.assembler.label()
        match = emission.assembler.label()
        labels = graph.nodes.map { _ in emission.assembler.label() }
    }

    /// - Returns: the label of each position at which the slow path is entered.
    mutating func write(_ emission: inout Emission) -> [Int: Assembler.Label] {
        emission.assembler.emit(EBPF.move(Layout.context, 1))
        if graph.nodes.contains(where: { $0.needed > 0 }) {
            // struct __sk_buff's data and data_end.
            emission.assembler.emit(EBPF.load(Layout.data, Layout.context, 76, bytes: 4))
            emission.assembler.emit(EBPF.load(Layout.dataEnd, Layout.context, 80, bytes: 4))
        }
        for first in graph.inOrder where !isReturn(first) {
            var number: Int? = first
            while let current = number { number = emit(current, &emission) }
        }
        if !emission.assembler.isPlaced(noMatch) { emission.returns(0, at: noMatch) }
        if !emission.assembler.isPlaced(match) { emission.returns(1, at: match) }
        return writeExits(&emission)
    }

    private func isReturn(_ number: Int) -> Bool {
        if case .returnConstant = graph.nodes[number].step { number != 0 } else { false }
    }

    /// - Returns: the node to emit next, to which this one falls through.
    private mutating func emit(_ number: Int, _ emission: inout Emission) -> Int? {
        let node = graph.nodes[number]
        guard !emission.assembler.isPlaced(labels[number]) else { return nil }
        emission.assembler.place(labels[number])
        if let check = node.check {
            emission.assembler.emit(EBPF.move(Layout.result, Layout.data))
            emission.assembler.emit(EBPF.add64(Layout.result, Int32(check)))
            let exit = label(.slow(node.position, node.known), &emission)
            emission.assembler.emit(EBPF.jump64(Comparison.greater.rawValue, Layout.result, Layout.dataEnd), to: exit)
        }
        if let a = node.loadingA { emission.assembler.emit(EBPF.move32(Layout.a, constant: a)) }
        switch node.step {
        case .none, .slow: break
        case .loadAbsolute(let offset, let width):
            emission.assembler.emit(EBPF.load(Layout.a, Layout.data, Int16(offset), bytes: width.rawValue))
            emission.convert(width, at: node.position)
        case .loadHeaderLength(let offset):
            emission.assembler.emit(EBPF.load(Layout.x, Layout.data, Int16(offset), bytes: 1))
            emission.assembler.emit(EBPF.arithmetic32(Arithmetic.and.rawValue, Layout.x, constant: 0x0F))
            emission.assembler.emit(EBPF.arithmetic32(Arithmetic.shiftLeft.rawValue, Layout.x, constant: 2))
        case .loadMetadatum(let metadatum, let register): emission.metadatum(metadatum, register)
        case .arithmetic(let arithmetic, let operand): emission.arithmetic(arithmetic, operand, at: node.position, noMatch: noMatch)
        case .negate: emission.assembler.emit(EBPF.negate32(Layout.a))
        case .copyAToX: emission.assembler.emit(EBPF.move32(Layout.x, Layout.a))
        case .copyXToA: emission.assembler.emit(EBPF.move32(Layout.a, Layout.x))
        case .store(let slot, let register):
            if let holder = slotRegisters[slot] {
                emission.assembler.emit(EBPF.move32(holder, Layout.register(register)))
            } else {
                emission.assembler.emit(EBPF.store(Layout.end, Layout.slot(slot), Layout.register(register), bytes: 4))
            }
        case .loadScratch(let slot, let register):
            if let held = slotRegisters[slot] {
                emission.assembler.emit(EBPF.move32(Layout.register(register), held))
            } else {
                emission.assembler.emit(EBPF.load(Layout.register(register), Layout.end, Layout.slot(slot), bytes: 4))
            }
        case .branch(let comparison, let operand):
            return emitBranch(comparison, operand, node, &emission)
        case .returnConstant(let constant):
            returns(constant != 0, &emission)
            return nil
        case .returnA:
            emission.returnA()
            return nil
        }
        if let guess = node.guess { return emitGuess(guess.register, guess.numbers, node, &emission) }
        return goOn(node.targets[0], &emission)
    }

    private mutating func emitBranch(
        _ comparison: Comparison, _ operand: Operand, _ node: FastNode, _ emission: inout Emission
    ) -> Int? {
        let (whenTrue, whenFalse) = (label(node.targets[0], &emission), label(node.targets[1], &emission))
        let next = nextOf(node.targets.sorted { position($0) < position($1) }, emission)
        // Without a next node, fall through to a return that has not been emitted yet.
        let isReturn = next == nil && !emission.assembler.isPlaced(whenFalse) && (whenFalse == match || whenFalse == noMatch)
        emission.branch(
            comparison, operand, at: node.position, whenTrue, whenFalse, next: next.map { labels[$0] } ?? (isReturn ? whenFalse : nil))
        if isReturn { returns(whenFalse == match, &emission) }
        return next
    }

    private mutating func emitGuess(
        _ register: ClassicRegister, _ numbers: [UInt32], _ node: FastNode, _ emission: inout Emission
    ) -> Int? {
        let last = numbers.count - 1
        for (index, number) in numbers.enumerated() {
            let equal = index == last ? 0x50 : Comparison.equal.rawValue
            let target = index == last ? node.targets[last + 1] : node.targets[index]
            emission.assembler.emit(EBPF.jump32(equal, Layout.register(register), constant: number), to: label(target, &emission))
        }
        return goOn(node.targets[last], &emission)
    }

    /// Continues at a target: by emitting it next, or by a jump.
    private mutating func goOn(_ target: FastNode.Target, _ emission: inout Emission) -> Int? {
        if let next = nextOf([target], emission) { return next }
        if case .node(let number) = target, case .returnConstant(let constant) = graph.nodes[number].step {
            returns(constant != 0, &emission)
        } else {
            emission.assembler.emit(EBPF.jump, to: label(target, &emission))
        }
        return nil
    }

    private mutating func returns(_ matches: Bool, _ emission: inout Emission) {
        let label = matches ? match : noMatch
        if emission.assembler.isPlaced(label) {
            emission.assembler.emit(EBPF.jump, to: label)
        } else {
            emission.returns(matches ? 1 : 0, at: label)
        }
    }

    /// The first target that is a node and has not been emitted yet.
    private func nextOf(_ targets: [FastNode.Target], _ emission: Emission) -> Int? {
        for case .node(let number) in targets where !isReturn(number) && !emission.assembler.isPlaced(labels[number]) { return number }
        return nil
    }

    private func position(_ target: FastNode.Target) -> Int {
        switch target {
        case .node(let number): graph.nodes[number].position
        case .slow(let position, _): position
        }
    }

    private mutating func label(_ target: FastNode.Target, _ emission: inout Emission) -> Assembler.Label {
        switch target {
        case .node(let number):
            if case .returnConstant(let constant) = graph.nodes[number].step, number != 0 { return constant == 0 ? noMatch : match }
            return labels[number]
        case .slow(let position, var known):
            known.forgetAll(but: liveness.before[position])
            if let label = exits[.slow(position, known)] { return label }
            let label = emission.assembler.label()
            exits[.slow(position, known)] = label
            exitsInOrder.append((position, known))
            return label
        }
    }

    /// Emits the transitions: each puts known values into the registers and slots that the slow path reads, and jumps there.
    private func writeExits(_ emission: inout Emission) -> [Int: Assembler.Label] {
        var entries: [Int: Assembler.Label] = [:]
        for (position, known) in exitsInOrder {
            let entry = entries[position] ?? emission.assembler.label()
            entries[position] = entry
            emission.assembler.place(exits[.slow(position, known)]!)
            if let a = known.a { emission.assembler.emit(EBPF.move32(Layout.a, constant: a)) }
            if let x = known.x { emission.assembler.emit(EBPF.move32(Layout.x, constant: x)) }
            for slot in 0..<16 where liveness.before[position].contains(.slot(slot)) {
                if let value = known[slot: slot] {
                    emission.assembler.emit(EBPF.store32(Layout.end, Layout.slot(slot), constant: value))
                } else if let register = slotRegisters[slot] {
                    emission.assembler.emit(EBPF.store(Layout.end, Layout.slot(slot), register, bytes: 4))
                }
            }
            emission.assembler.emit(EBPF.jump, to: entry)
        }
        return entries
    }
}
