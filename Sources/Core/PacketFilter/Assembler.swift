// SPDX-License-Identifier: LGPL-2.1-or-later

/// Instructions one after another, and jumps by name.
struct Assembler {
    /// A place to jump to, known before it is reached.
    struct Label: Hashable {
        fileprivate let number: Int
    }

    private(set) var instructions: [UInt64] = []
    private var places: [Int?] = []
    private var jumps: [(place: Int, to: Label)] = []

    mutating func label() -> Label {
        places.append(nil)
        return Label(number: places.count - 1)
    }

    mutating func place(_ label: Label) { places[label.number] = instructions.count }
    func isPlaced(_ label: Label) -> Bool { places[label.number] != nil }

    mutating func emit(_ instruction: UInt64) { instructions.append(instruction) }

    mutating func emit(_ jump: UInt64, to label: Label) {
        jumps.append((instructions.count, label))
        instructions.append(jump)
    }

    /// Without what no path reaches, which the verifier would refuse.
    /// - Returns: `nil` when a jump is too far for 16 bits.
    func finished() -> [UInt64]? {
        let targets = Dictionary(uniqueKeysWithValues: jumps.map { ($0.place, places[$0.to.number]!) })
        let reached = reached(targets)
        var kept = 0
        let newPlaces = reached.map { isReached in
            defer { kept += isReached ? 1 : 0 }
            return kept
        }
        var result: [UInt64] = []
        result.reserveCapacity(kept)
        for (place, instruction) in instructions.enumerated() where reached[place] {
            guard let target = targets[place] else {
                result.append(instruction)
                continue
            }
            guard let offset = Int16(exactly: newPlaces[target] - newPlaces[place] - 1) else { return nil }
            result.append(EBPF.setting(instruction, offset: offset))
        }
        return result
    }

    private func reached(_ targets: [Int: Int]) -> [Bool] {
        var reached = Array(repeating: false, count: instructions.count)
        var waiting = [0]
        while let first = waiting.popLast() {
            var place = first
            while !reached[place] {
                reached[place] = true
                if instructions[place] == EBPF.exit { break }
                guard let target = targets[place] else {
                    place += 1
                    continue
                }
                if instructions[place] == EBPF.jump {
                    place = target
                } else {
                    waiting.append(target)
                    place += 1
                }
            }
        }
        return reached
    }
}
