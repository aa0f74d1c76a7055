// SPDX-License-Identifier: LGPL-2.1-or-later

/// Which registers and scratch slots hold a number that the translator knows, at one point of the program: they are in no
/// register of eBPF there. What is not needed any more is left out.
struct KnownValues: Hashable {
    private var values: [UInt32?] = Array(repeating: nil, count: 18)

    /// At a program's start all is 0.
    static let atStart: KnownValues = {
        var known = KnownValues()
        known.values = Array(repeating: 0, count: 18)
        return known
    }()

    var a: UInt32? {
        get { values[0] }
        set { values[0] = newValue }
    }

    var x: UInt32? {
        get { values[1] }
        set { values[1] = newValue }
    }

    subscript(register: ClassicRegister) -> UInt32? {
        get { register == .a ? a : x }
        set { if register == .a { a = newValue } else { x = newValue } }
    }

    subscript(slot slot: Int) -> UInt32? {
        get { values[2 + slot] }
        set { values[2 + slot] = newValue }
    }

    mutating func forgetAll(but live: Liveness.Set) {
        if !live.contains(.a) { a = nil }
        if !live.contains(.x) { x = nil }
        for slot in 0..<16 where !live.contains(.slot(slot)) { self[slot: slot] = nil }
    }
}

/// What of the registers and the scratch memory may still be read before it is written.
struct Liveness {
    /// One bit each: A, X, then the 16 slots.
    struct Set: OptionSet, Hashable {
        var rawValue: UInt32

        static let a = Set(rawValue: 1)
        static let x = Set(rawValue: 2)
        static func slot(_ number: Int) -> Set { Set(rawValue: 4 << UInt32(number)) }

        static func register(_ register: ClassicRegister) -> Set { register == .a ? .a : .x }
    }

    /// Before each instruction.
    private(set) var before: [Set]

    init(_ operations: [ClassicOperation]) {
        before = Array(repeating: [], count: operations.count)
        // All jumps go forward.
        for position in operations.indices.reversed() {
            var live = operations[position].successors(position).reduce(into: Set()) { $0.formUnion(before[$1]) }
            live.subtract(Self.writes(operations[position]))
            live.formUnion(Self.reads(operations[position]))
            before[position] = live
        }
    }

    private static func reads(_ operation: ClassicOperation) -> Set {
        switch operation {
        case .loadAbsolute, .loadHeaderLength, .loadMetadatum, .loadConstant, .jump, .returnConstant: []
        case .loadIndirect, .copyXToA: .x
        case .loadScratch(let slot, _): .slot(slot)
        case .store(_, let register): .register(register)
        case .arithmetic(_, let operand), .branch(_, let operand, _, _): operand == .x ? [.a, .x] : .a
        case .negate, .copyAToX, .returnA: .a
        }
    }

    private static func writes(_ operation: ClassicOperation) -> Set {
        switch operation {
        case .loadAbsolute, .loadIndirect, .copyXToA, .arithmetic, .negate: .a
        case .loadHeaderLength, .copyAToX: .x
        case .loadMetadatum(_, let register), .loadConstant(_, let register), .loadScratch(_, let register): .register(register)
        case .store(let slot, _): .slot(slot)
        case .jump, .branch, .returnConstant, .returnA: []
        }
    }
}

/// Where A may be left in the order in which the frame has it, and constants turned round instead: what is only masked and
/// compared for equality need not be converted, which is what a compiler does with `htons(0x0800)`.
struct ByteOrder {
    /// One value of A, or several that meet: whether all of them and all that reads them can do with the frame's order.
    private struct Value {
        var width: LoadWidth?
        var isOther = false
        /// The largest constant that it is compared or joined with.
        var largest: UInt32 = 0

        mutating func merge(_ other: Value) {
            if let width = other.width {
                if self.width == nil { self.width = width } else if self.width != width { isOther = true }
            }
            isOther = isOther || other.isOther
            largest = max(largest, other.largest)
        }
    }

    private var values: [Value] = []
    private var parents: [Int] = []
    /// Of each instruction that loads A, or reads it.
    private var valueOf: [Int?]

    init(_ operations: [ClassicOperation], _ liveness: Liveness) {
        valueOf = Array(repeating: nil, count: operations.count)
        var incoming: [Int?] = Array(repeating: nil, count: operations.count)
        // A is 0 at first.
        incoming[0] = add(Value(isOther: true))
        for (position, operation) in operations.enumerated() {
            guard let current = incoming[position] else { continue }
            let outgoing = step(operation, at: position, current)
            for next in operation.successors(position) {
                if let other = incoming[next] {
                    if liveness.before[next].contains(.a) { join(other, outgoing) }
                } else {
                    incoming[next] = outgoing
                }
            }
        }
    }

    /// The width in which A, as loaded or read by an instruction, is in the frame's order; `nil` if it is a number as usual.
    mutating func width(at position: Int) -> LoadWidth? {
        guard let value = valueOf[position].map({ values[root($0)] }), let width = value.width else { return nil }
        return width == .byte || value.isOther || value.largest > width.maximum ? nil : width
    }

    private mutating func step(_ operation: ClassicOperation, at position: Int, _ current: Int) -> Int {
        switch operation {
        case .loadAbsolute(_, let width), .loadIndirect(_, let width):
            let value = add(Value(width: width))
            valueOf[position] = value
            return value
        case .branch(let comparison, .constant(let constant), _, _) where comparison == .equal || comparison == .anyBit:
            valueOf[position] = current
            // Bits of a mask beyond the width meet zeros, and can be dropped.
            if comparison == .equal { note(current) { $0.largest = max($0.largest, constant) } }
            return current
        case .arithmetic(let arithmetic, .constant(let constant)) where arithmetic.isBitwise:
            valueOf[position] = current
            if arithmetic != .and { note(current) { $0.largest = max($0.largest, constant) } }
            return current
        case .branch, .copyAToX, .store(_, .a), .returnA:
            note(current) { $0.isOther = true }
            return current
        case .arithmetic, .negate:
            note(current) { $0.isOther = true }
            return add(Value(isOther: true))
        case .loadMetadatum(_, .a), .loadConstant(_, .a), .loadScratch(_, .a), .copyXToA:
            return add(Value(isOther: true))
        case .loadHeaderLength, .loadMetadatum(_, .x), .loadConstant(_, .x), .loadScratch(_, .x), .store(_, .x), .jump, .returnConstant:
            return current
        }
    }

    private mutating func add(_ value: Value) -> Int {
        values.append(value)
        parents.append(parents.count)
        return parents.count - 1
    }

    private mutating func note(_ value: Int, _ change: (inout Value) -> Void) { change(&values[root(value)]) }

    private mutating func join(_ one: Int, _ other: Int) {
        let (one, other) = (root(one), root(other))
        guard one != other else { return }
        parents[other] = one
        values[one].merge(values[other])
    }

    private mutating func root(_ value: Int) -> Int {
        var value = value
        while parents[value] != value {
            parents[value] = parents[parents[value]]
            value = parents[value]
        }
        return value
    }
}
