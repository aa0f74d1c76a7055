// SPDX-License-Identifier: LGPL-2.1-or-later

/// How many branches the verifier has to keep in mind at once: it follows what falls through, and comes back to the other
/// side of each branch later.
enum PendingBranches {
    /// It gives up at 8,192 (BPF_COMPLEXITY_LIMIT_JMP_SEQ of kernel/bpf/verifier.c), with EFAULT, of all errors. The rest is for the
    /// program that calls the filter.
    static let limit = 8_100

    /// The most on any way through a program that has no loops.
    static func most(_ instructions: [UInt64]) -> Int {
        var most: [Int?] = Array(repeating: nil, count: instructions.count)
        var waiting = [0]
        while let place = waiting.last {
            let next = successors(instructions[place], place)
            let unknown = next.filter { most[$0] == nil }
            if unknown.isEmpty {
                // What falls through comes first.
                let isBranch = next.count == 2
                most[place] = next.enumerated().map { most[$1]! + (isBranch && $0 == 0 ? 1 : 0) }.max() ?? 0
                waiting.removeLast()
            } else {
                waiting += unknown
            }
        }
        return most[0] ?? 0
    }

    private static func successors(_ instruction: UInt64, _ place: Int) -> [Int] {
        let (code, offset) = EBPF.jump(of: instruction)
        // BPF_JMP and BPF_JMP32; an exit and a call are among them.
        guard code & 0x07 == 0x05 || code & 0x07 == 0x06, code != 0x85 else { return [place + 1] }
        if code == 0x95 { return [] }
        let target = place + 1 + Int(offset)
        return code == 0x05 ? [target] : [place + 1, target]
    }
}
