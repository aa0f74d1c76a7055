// SPDX-License-Identifier: LGPL-2.1-or-later

/// The registers and scratch slots whose value the translator knows at one point of the program. Known values are in no eBPF register.
/// Values that are not read later are left out.
struct KnownValues: Hashable {
    private var values: [UInt32?] = Array(repeating: nil, count: 18)

    /// The start of a program: all values are 0.
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

/// The registers and scratch slots that may be read before they are written again.
struct Liveness {
    /// One bit for A, one for X and one for each of the 16 slots.
    struct Set: OptionSet, Hashable {
        var rawValue: UInt32

        static let a = Set(rawValue: 1)
        static let x = Set(rawValue: 2)
        static func slot(_ number: Int) -> Set { Set(rawValue: 4 << UInt32(number)) }

        static func register(_ register: ClassicRegister) -> Set { register == .a ? .a : .x }
    }

    /// The live registers and slots before each instruction.
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

/// Finds where A may stay in network byte order while constants are converted instead: a value that is only masked and compared for equality
/// needs no conversion. A compiler does the same with `htons(0x0800)`.
struct ByteOrder {
    /// One value of A, or several that meet at a point: whether all of them, and everything that reads them, can use network byte order.
    private struct Value {
        var width: LoadWidth?
        var isOther = false
        /// The largest constant that the value is compared or combined with.
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
    /// The value of each instruction that loads or reads A.
    private var valueOf: [Int?]

    init(_ operations: [ClassicOperation], _ liveness: Liveness) {
        valueOf = Array(repeating: nil, count: operations.count)
        var incoming: [Int?] = Array(repeating: nil, count: operations.count)
        // A is 0 at the start.
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

    /// The width in which A, as an instruction loads or reads it, is in network byte order; `nil`: A is an ordinary number.
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
            // Bits of a mask beyond the width meet zeros, so they can be dropped.
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
