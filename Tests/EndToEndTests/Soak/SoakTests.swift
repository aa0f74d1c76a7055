// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TestSupport
import Testing

extension EndToEnd {
    /// Guests start, stop, move and change while daemons, libvirtd and destinations are killed and restarted under them.
    ///
    /// `make soak` runs it for VT_SOAK_SECONDS (ten minutes) with VT_SOAK_SEED; in `make test` it is short.
    @Suite struct SoakTests {
        @Test func whatTheKernelDoesIsWhatTheMetadataSays() async throws {
            let environment = ProcessInfo.processInfo.environment
            let seconds = environment["VT_SOAK_SECONDS"].flatMap(Double.init)
            let seed = environment["VT_SOAK_SEED"].flatMap(UInt64.init) ?? (seconds == nil ? 1 : .random(in: 1...999_999))
            SoakRun.say("seed \(seed)")
            try await HostPair.with { pair async throws in
                let start = ContinuousClock.now
                var run = try await SoakRun(pair, seed: seed, tells: seconds != nil)
                repeat {
                    try await run.round(of: seconds == nil ? 12 : 8)
                } while ContinuousClock.now - start < .seconds(seconds ?? 0)
                try await run.finish()
                SoakRun.say("seed \(seed), \(run.steps.count) steps, \(run.checks) checks, survived: \(run.tally)")
            }
        }

        @Test func aSeedDecidesTheSteps() {
            func steps(_ seed: UInt64) -> [SoakStep] {
                var generator = SeededGenerator(seed: seed)
                var model = SoakModel()
                return (1...200).map { _ in model.next(&generator) }
            }
            #expect(steps(1) == steps(1))
            #expect(steps(1) != steps(2))
        }
    }
}
