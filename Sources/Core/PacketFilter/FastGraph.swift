// SPDX-License-Identifier: LGPL-2.1-or-later

/// The fast path as a graph: the classic program, with one node for each instruction and set of values known there.
///
/// A loader with CAP_BPF and without CAP_PERFMON may not add a variable to a packet pointer, so X has to be a known number. It mostly is:
/// 4 × (byte & 15) is the length of an IPv4 header, which is 20 without options; libpcap keeps offsets behind VLAN tags in scratch memory,
/// and these are 0 or 4.
struct FastGraph {
    /// The number of nodes that an instruction may have. Further sets of values go to the slow path.
    private static let maximumVariants = 4
    /// Displacements of loads are 16 bits with a sign.
    private static let maximumOffset: UInt32 = 32_000

    private let operations: [ClassicOperation]
    private let liveness: Liveness
    private(set) var nodes: [FastNode] = []
    private var numbers: [Int: [KnownValues: Int]] = [:]

    init(_ operations: [ClassicOperation], _ liveness: Liveness) {
        self.operations = operations
        self.liveness = liveness
        var waiting = Array(repeating: [Int](), count: operations.count)
        var known = KnownValues.atStart
        known.forgetAll(but: liveness.before[0])
        nodes.append(FastNode(0, known, .none))
        numbers[0] = [known: 0]
        waiting[0] = [0]
        // All jumps go forward, so a position gets no further nodes after its turn.
        for position in operations.indices {
            for number in waiting[position] { expand(number, &waiting) }
        }
        findNeeds()
        findProofs()
    }

    private mutating func expand(_ number: Int, _ waiting: inout [[Int]]) {
        var node = nodes[number]
        let (known, position) = (node.known, node.position)
        var after = known
        switch operations[position] {
        case .loadAbsolute(let offset, let width):
            load(at: offset, width, &node, &after)
        case .loadIndirect(let offset, let width):
            if let x = known.x { load(at: x &+ offset, width, &node, &after) } else { node.step = .slow }
        case .loadHeaderLength(let offset):
            node.step = offset <= Self.maximumOffset ? .loadHeaderLength(offset) : .slow
            node.needed = Int(offset) + 1
            node.guess = (.x, [20])
            after.x = nil
        case .loadMetadatum(let metadatum, let register):
            node.step = .loadMetadatum(metadatum, register)
            after[register] = nil
        case .loadConstant(let constant, let register): after[register] = constant
        case .loadScratch(let slot, let register):
            after[register] = known[slot: slot]
            if known[slot: slot] == nil { node.step = .loadScratch(slot, register) }
        case .store(let slot, let register):
            after[slot: slot] = known[register]
            if known[register] == nil { node.step = .store(slot, register) }
        case .arithmetic(let arithmetic, let operand): calculate(arithmetic, operand, &node, &after)
        case .negate:
            after.a = known.a.map { 0 &- $0 }
            if known.a == nil { node.step = .negate }
        case .copyAToX:
            after.x = known.a
            if known.a == nil { node.step = .copyAToX }
        case .copyXToA:
            after.a = known.x
            if known.x == nil { node.step = .copyXToA }
        case .jump(let target):
            node.targets = [self.target(target, after, &waiting)]
        case .branch(let comparison, let operand, let whenTrue, let whenFalse):
            branch(comparison, operand, whenTrue, whenFalse, &node, &waiting)
        case .returnConstant(let constant): node.step = .returnConstant(constant)
        case .returnA: node.step = known.a.map { .returnConstant($0) } ?? .returnA
        }
        finish(&node, after, &waiting)
        nodes[number] = node
    }

    /// Sets the targets of a node that has none yet.
    private mutating func finish(_ node: inout FastNode, _ after: KnownValues, _ waiting: inout [[Int]]) {
        switch node.step {
        case .slow:
            node.needed = 0
            node.guess = nil
            node.targets = [.slow(node.position, node.known)]
        case .returnConstant, .returnA: node.targets = []
        case .branch: break
        default:
            guard node.targets.isEmpty else { break }
            if let guess = node.guess {
                var targets: [FastNode.Target] = []
                for number in guess.numbers {
                    var guessed = after
                    guessed[guess.register] = number
                    targets.append(target(node.position + 1, guessed, &waiting))
                }
                node.targets = targets + [.slow(node.position + 1, after)]
            } else {
                node.targets = [target(node.position + 1, after, &waiting)]
            }
        }
    }

    private func load(at offset: UInt32, _ width: LoadWidth, _ node: inout FastNode, _ after: inout KnownValues) {
        after.a = nil
        if offset > UInt32(Int32.max) {
            node.step = .returnConstant(0)
        } else if offset > Self.maximumOffset {
            node.step = .slow
        } else {
            node.step = .loadAbsolute(offset, width)
            node.needed = Int(offset) + width.rawValue
        }
    }

    private func calculate(_ arithmetic: Arithmetic, _ operand: Operand, _ node: inout FastNode, _ after: inout KnownValues) {
        let right: UInt32? = if case .constant(let constant) = operand { constant } else { node.known.x }
        after.a = nil
        if right == 0, arithmetic.divides {
            node.step = .returnConstant(0)
        } else if let left = node.known.a, let right {
            after.a = arithmetic.result(left, right)
        } else {
            let masked = right.map { arithmetic.shifts ? $0 & 31 : $0 }
            node.step = .arithmetic(arithmetic, masked.map { .constant($0) } ?? .x)
            node.loadingA = node.known.a
            node.guess = lengthGuess(arithmetic, masked, node.position)
        }
    }

    /// Recognizes the length of a header as expressions compute it: of IPv4 as above; of TCP as (byte & 0xf0) >> 2, which is mostly 32 with
    /// timestamps, or 20.
    private func lengthGuess(_ arithmetic: Arithmetic, _ right: UInt32?, _ position: Int) -> (ClassicRegister, [UInt32])? {
        guard position > 0, case .arithmetic(.and, .constant(let mask)) = operations[position - 1] else { return nil }
        switch (mask, arithmetic, right) {
        case (0x0F, .shiftLeft, 2), (0x0F, .multiply, 4): return (.a, [20])
        case (0xF0, .shiftRight, 2): return (.a, [32, 20])
        default: return nil
        }
    }

    private mutating func branch(
        _ comparison: Comparison, _ operand: Operand, _ whenTrue: Int, _ whenFalse: Int, _ node: inout FastNode, _ waiting: inout [[Int]]
    ) {
        let right: UInt32? = if case .constant(let constant) = operand { constant } else { node.known.x }
        if let left = node.known.a, let right {
            node.targets = [target(comparison.holds(left, right) ? whenTrue : whenFalse, node.known, &waiting)]
        } else if whenTrue == whenFalse {
            node.targets = [target(whenTrue, node.known, &waiting)]
        } else {
            node.step = .branch(comparison, right.map { .constant($0) } ?? .x)
            node.loadingA = node.known.a
            var after = node.known
            // A is in its register from here on.
            if node.loadingA != nil { after.a = nil }
            node.targets = [target(whenTrue, after, &waiting), target(whenFalse, after, &waiting)]
        }
    }

    /// The node of an instruction with a set of values known before it.
    private mutating func target(_ position: Int, _ known: KnownValues, _ waiting: inout [[Int]]) -> FastNode.Target {
        var known = known
        known.forgetAll(but: liveness.before[position])
        if let number = numbers[position]?[known] { return .node(number) }
        guard waiting[position].count < Self.maximumVariants else { return .slow(position, known) }
        nodes.append(FastNode(position, known, .none))
        numbers[position, default: [:]][known] = nodes.count - 1
        waiting[position].append(nodes.count - 1)
        return .node(nodes.count - 1)
    }

    /// The nodes in the order of their positions: each comes after all that lead to it.
    var inOrder: [Int] { nodes.indices.sorted { (nodes[$0].position, $0) < (nodes[$1].position, $1) } }

    private mutating func findNeeds() {
        for number in inOrder.reversed() {
            var later = nodes[number].needed
            for case .node(let next) in nodes[number].targets { later = max(later, nodes[next].neededLater) }
            nodes[number].neededLater = later
        }
    }

    private mutating func findProofs() {
        nodes[0].proven = 0
        for number in inOrder {
            var node = nodes[number]
            if let check = node.check { node.proven = check }
            for case .node(let next) in node.targets { nodes[next].proven = min(nodes[next].proven, node.proven) }
        }
    }
}

/// One node of the fast path: an instruction of the classic program at a point where certain values are known.
struct FastNode {
    /// What follows a node.
    enum Target: Hashable {
        case node(Int)
        /// The slow path, before the instruction at that position. The known values have to be put where the slow path reads them.
        case slow(Int, KnownValues)
    }

    /// What the node does, with known values filled in.
    enum Step {
        /// The instruction needs no code.
        case none
        case loadAbsolute(UInt32, LoadWidth)
        case loadHeaderLength(UInt32)
        case loadMetadatum(Metadatum, ClassicRegister)
        case arithmetic(Arithmetic, Operand)
        case negate
        case copyAToX
        case copyXToA
        case store(Int, ClassicRegister)
        case loadScratch(Int, ClassicRegister)
        case branch(Comparison, Operand)
        case returnConstant(UInt32)
        case returnA
        /// The fast path cannot do it.
        case slow
    }

    let position: Int
    /// The values known before the instruction.
    let known: KnownValues
    var step: Step
    /// The known value of A that has to be loaded into its register first.
    var loadingA: UInt32?
    /// For a branch: the target when it holds, then the target when it does not. For a guess: one target for each number, then the slow path. Else
    /// one target or none.
    var targets: [Target] = []
    /// The numbers with which the fast path goes on when the result in this register is one of them; with any other the slow path goes on.
    var guess: (register: ClassicRegister, numbers: [UInt32])?
    /// How many bytes of the linear part the node reads, from the start of the frame.
    var needed = 0
    /// The largest `needed` of this node and those that follow.
    var neededLater = 0
    /// How many bytes are known to be in the linear part before the node.
    var proven = Int.max

    /// How many bytes have to be checked for before the node; `nil`: enough are known to be there.
    ///
    /// It may check for more than the node needs, which saves later checks: up to the lengths of the shortest usual frames, ARP and UDP (42),
    /// TCP without data (54), UDP and TCP over IPv6 (62, 74). Shorter frames take the slow path.
    var check: Int? {
        guard needed > proven else { return nil }
        let usual = [42, 54, 62, 74].first { needed <= $0 }
        return max(needed, min(neededLater, usual ?? needed))
    }

    init(_ position: Int, _ known: KnownValues, _ step: Step) {
        self.position = position
        self.known = known
        self.step = step
    }
}
