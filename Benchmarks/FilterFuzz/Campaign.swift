// SPDX-License-Identifier: LGPL-2.1-or-later

import PacketFilterTestSupport
import Synchronization
import TestSupport

/// All the work of a run, handed out by program.
final class Campaign: Sendable {
    /// What came of it.
    struct Tally {
        var pairs = 0
        var programs = 0
        var matches = 0
        var known = 0
        var refused = 0
        var differences = 0
    }

    private static let framesAProgram = 400
    /// Of what is wrong, so many are printed.
    private static let printed = 10

    private let seed: UInt64
    private let pairs: Int
    private let expressionsOnly: Bool
    private let next = Atomic<Int>(0)
    private let state = Mutex(Tally())

    init(seed: UInt64, pairs: Int, expressionsOnly: Bool) {
        self.seed = seed
        self.pairs = pairs
        self.expressionsOnly = expressionsOnly
    }

    var tally: Tally { state.withLock { $0 } }

    /// What one thread does. Each program depends on the seed and its number alone.
    func work() {
        let handle = PcapHandle.offline()
        while true {
            let number = next.add(1, ordering: .relaxed).oldValue
            guard number * Self.framesAProgram < pairs else { return }
            attempt(number, handle)
        }
    }

    private func attempt(_ number: Int, _ handle: PcapHandle) {
        var random = SeededGenerator(seed: seed &+ UInt64(number) &* 0x5851_F42D_4C95_7F2D)
        var found = Tally()
        defer { state.withLock { [found] in $0.add(found) } }
        found.programs = 1
        do {
            let comparison: FilterComparison
            if expressionsOnly || number.isMultiple(of: 2) {
                let expression = Expressions.all[(expressionsOnly ? number : number / 2) % Expressions.all.count]
                comparison = try FilterComparison(expression, PcapFilter(expression, handle))
            } else {
                comparison = try FilterComparison("random program \(number)", PcapFilter(RandomProgram.make(&random)))
            }
            var mutator = FrameMutator(seed: random.next(), program: comparison.instructions)
            for _ in 0..<Self.framesAProgram {
                let frame = mutator.next()
                let answer = try comparison.answer(frame)
                found.pairs += 1
                found.matches += answer.isFound ? 1 : 0
                if let difference = answer.difference {
                    found.differences += 1
                    report("\(difference)")
                }
            }
            found.known = comparison.known
        } catch {
            found.refused += 1
            report("program \(number): \(error)")
        }
    }

    private func report(_ text: String) {
        if state.withLock({ $0.differences + $0.refused }) < Self.printed { print(text) }
    }
}

extension Campaign.Tally {
    fileprivate mutating func add(_ other: Self) {
        pairs += other.pairs
        programs += other.programs
        matches += other.matches
        known += other.known
        refused += other.refused
        differences += other.differences
    }
}
