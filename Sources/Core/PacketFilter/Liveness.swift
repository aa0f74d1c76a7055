// SPDX-License-Identifier: LGPL-2.1-or-later

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
        for place in operations.indices.reversed() {
            var live = operations[place].successors(place).reduce(into: Set()) { $0.formUnion(before[$1]) }
            live.subtract(Self.writes(operations[place]))
            live.formUnion(Self.reads(operations[place]))
            before[place] = live
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
