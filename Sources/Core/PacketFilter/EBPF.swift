// SPDX-License-Identifier: LGPL-2.1-or-later

/// Instructions of eBPF as `struct bpf_insn` of linux/bpf.h, in the machine's byte order. Only instructions
/// that Linux 5.10 knows (`-mcpu=v3`). Targets of jumps are 0 until the assembler sets them.
package enum EBPF {
    /// Registers by number. A call clobbers r1 to r5; r10 is the end of the stack frame.
    package typealias Register = UInt8

    package static func instruction(_ code: UInt8, _ to: Register = 0, _ from: Register = 0, offset: Int16 = 0, immediate: UInt32 = 0)
        -> UInt64
    {
        #if _endian(little)
            let registers = from << 4 | to
        #else
            let registers = to << 4 | from
        #endif
        let word = (code, registers, offset, immediate)
        return withUnsafeBytes(of: word) { $0.loadUnaligned(as: UInt64.self) }
    }

    /// to := from, all 64 bits.
    package static func move(_ to: Register, _ from: Register) -> UInt64 { instruction(0xBF, to, from) }
    /// to := from's lower half.
    package static func move32(_ to: Register, _ from: Register) -> UInt64 { instruction(0xBC, to, from) }
    package static func move32(_ to: Register, constant: UInt32) -> UInt64 { instruction(0xB4, to, immediate: constant) }
    package static func add64(_ to: Register, _ constant: Int32) -> UInt64 {
        instruction(0x07, to, immediate: UInt32(bitPattern: constant))
    }
    /// `operation` is BPF_OP.
    package static func arithmetic32(_ operation: UInt8, _ to: Register, _ from: Register) -> UInt64 {
        instruction(0x0C | operation, to, from)
    }
    package static func arithmetic32(_ operation: UInt8, _ to: Register, constant: UInt32) -> UInt64 {
        instruction(0x04 | operation, to, immediate: constant)
    }
    package static func negate32(_ register: Register) -> UInt64 { instruction(0x84, register) }
    /// Converts 2 or 4 bytes from network byte order and clears the rest of the register.
    package static func fromNetwork(_ register: Register, bytes: Int) -> UInt64 {
        instruction(0xDC, register, immediate: UInt32(bytes * 8))
    }
    /// to := 1, 2, 4 or 8 bytes at from + offset.
    package static func load(_ to: Register, _ from: Register, _ offset: Int16, bytes: Int) -> UInt64 {
        instruction(0x61 | size(bytes), to, from, offset: offset)
    }
    /// 1, 2, 4 or 8 bytes at to + offset := from.
    package static func store(_ to: Register, _ offset: Int16, _ from: Register, bytes: Int) -> UInt64 {
        instruction(0x63 | size(bytes), to, from, offset: offset)
    }
    /// 4 bytes at to + offset := a constant.
    package static func store32(_ to: Register, _ offset: Int16, constant: UInt32) -> UInt64 {
        instruction(0x62, to, offset: offset, immediate: constant)
    }
    /// Calls one of the kernel's helpers (`enum bpf_func_id`).
    package static func call(helper: UInt32) -> UInt64 { instruction(0x85, immediate: helper) }
    /// Calls a function of this program. `distance` counts instructions from the next one.
    package static func call(function distance: Int32) -> UInt64 { instruction(0x85, 0, 1, immediate: UInt32(bitPattern: distance)) }
    package static let exit = instruction(0x95)

    package static let jump = instruction(0x05)
    /// Jumps when left ∘ right, compared as unsigned 64 bits. `operation` is a BPF_OP; 0x50 means unequal.
    package static func jump64(_ operation: UInt8, _ left: Register, _ right: Register) -> UInt64 {
        instruction(0x0D | operation, left, right)
    }
    package static func jump64(_ operation: UInt8, _ left: Register, constant: Int32) -> UInt64 {
        instruction(0x05 | operation, left, immediate: UInt32(bitPattern: constant))
    }
    /// Jumps when left ∘ right, compared as unsigned 32 bits.
    package static func jump32(_ operation: UInt8, _ left: Register, _ right: Register) -> UInt64 {
        instruction(0x0E | operation, left, right)
    }
    package static func jump32(_ operation: UInt8, _ left: Register, constant: UInt32) -> UInt64 {
        instruction(0x06 | operation, left, immediate: constant)
    }

    /// The instruction with another offset: the distance of a jump.
    package static func setting(_ instruction: UInt64, offset: Int16) -> UInt64 {
        var word = instruction
        withUnsafeMutableBytes(of: &word) { $0.storeBytes(of: offset, toByteOffset: 2, as: Int16.self) }
        return word
    }

    /// An instruction's code, and its distance if it is a jump.
    static func jump(of instruction: UInt64) -> (code: UInt8, offset: Int16) {
        withUnsafeBytes(of: instruction) { ($0.load(as: UInt8.self), $0.load(fromByteOffset: 2, as: Int16.self)) }
    }

    /// BPF_SIZE.
    private static func size(_ bytes: Int) -> UInt8 {
        switch bytes {
        case 1: 0x10
        case 2: 0x08
        case 4: 0x00
        default: 0x18
        }
    }
}

/// Collects instructions, and resolves jumps to labels.
struct Assembler {
    /// A target of jumps, which may be used before it is placed.
    struct Label: Hashable {
        fileprivate let number: Int
    }

    private(set) var instructions: [UInt64] = []
    private var positions: [Int?] = []
    private var jumps: [(position: Int, to: Label)] = []

    mutating func label() -> Label {
        positions.append(nil)
        return Label(number: positions.count - 1)
    }

    mutating func place(_ label: Label) { positions[label.number] = instructions.count }
    func isPlaced(_ label: Label) -> Bool { positions[label.number] != nil }

    mutating func emit(_ instruction: UInt64) { instructions.append(instruction) }

    mutating func emit(_ jump: UInt64, to label: Label) {
        jumps.append((instructions.count, label))
        instructions.append(jump)
    }

    /// The program without instructions that no path reaches, since the verifier refuses those.
    /// - Returns: `nil` when a jump is too far for 16 bits.
    func finished() -> [UInt64]? {
        let targets = Dictionary(uniqueKeysWithValues: jumps.map { ($0.position, positions[$0.to.number]!) })
        let reached = reached(targets)
        var kept = 0
        let newPositions = reached.map { isReached in
            defer { kept += isReached ? 1 : 0 }
            return kept
        }
        var result: [UInt64] = []
        result.reserveCapacity(kept)
        for (position, instruction) in instructions.enumerated() where reached[position] {
            guard let target = targets[position] else {
                result.append(instruction)
                continue
            }
            guard let offset = Int16(exactly: newPositions[target] - newPositions[position] - 1) else { return nil }
            result.append(EBPF.setting(instruction, offset: offset))
        }
        return result
    }

    private func reached(_ targets: [Int: Int]) -> [Bool] {
        var reached = Array(repeating: false, count: instructions.count)
        var waiting = [0]
        while let first = waiting.popLast() {
            var position = first
            while !reached[position] {
                reached[position] = true
                if instructions[position] == EBPF.exit { break }
                guard let target = targets[position] else {
                    position += 1
                    continue
                }
                if instructions[position] == EBPF.jump {
                    position = target
                } else {
                    waiting.append(target)
                    position += 1
                }
            }
        }
        return reached
    }
}

/// Counts the branches that the verifier keeps pending at once: it follows the fall-through and returns to the other side of each branch
/// later.
enum PendingBranches {
    /// The verifier gives up at 8,192 (BPF_COMPLEXITY_LIMIT_JMP_SEQ of kernel/bpf/verifier.c), with EFAULT. The difference is left to the
    /// program that calls the filter.
    static let limit = 8_100

    /// The largest number of pending branches on any path through a program without loops.
    static func most(_ instructions: [UInt64]) -> Int {
        var most: [Int?] = Array(repeating: nil, count: instructions.count)
        var waiting = [0]
        while let position = waiting.last {
            let next = successors(instructions[position], position)
            let unknown = next.filter { most[$0] == nil }
            if unknown.isEmpty {
                // The verifier follows the fall-through first, while the other side is pending.
                let isBranch = next.count == 2
                most[position] = next.enumerated().map { most[$1]! + (isBranch && $0 == 0 ? 1 : 0) }.max() ?? 0
                waiting.removeLast()
            } else {
                waiting += unknown
            }
        }
        return most[0] ?? 0
    }

    private static func successors(_ instruction: UInt64, _ position: Int) -> [Int] {
        let (code, offset) = EBPF.jump(of: instruction)
        // Classes BPF_JMP and BPF_JMP32, which include exit and call.
        guard code & 0x07 == 0x05 || code & 0x07 == 0x06, code != 0x85 else { return [position + 1] }
        if code == 0x95 { return [] }
        let target = position + 1 + Int(offset)
        return code == 0x05 ? [target] : [position + 1, target]
    }
}
