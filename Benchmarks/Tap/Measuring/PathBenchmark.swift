// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// Measures all variants on one path with one size of frame, interleaved: A B A C A D …, where A is the path without a tap.
///
/// Each sample is compared to the two samples of A around it, so that whatever makes the machine slower for a while is in
/// both. Who comes first changes with each round.
struct PathBenchmark {
    let sampler: Sampler
    let rounds: Int
    /// A variant that fails so often in a row is not tried again.
    private static let patience = 3

    func measure(_ variants: [Variant], _ frame: TestFrame, batch: Int) throws -> [VariantResult] {
        var results = variants.map { VariantResult(path: sampler.path.title, frame: frame.name, $0) }
        var untapped = VariantResult(path: sampler.path.title, frame: frame.name, VariantCatalogue.untapped)
        for round in 0..<rounds {
            var before = try baseline(frame, batch, &untapped)
            for step in results.indices {
                let index = (step + round) % results.count
                guard results[index].error == nil, results[index].isWorthwhile(Self.patience) else { continue }
                let sample: Sample
                do {
                    sample = try sampler.sample(variants[index], frame, batch: batch)
                } catch {
                    results[index].error = "\(error)"
                    continue
                }
                let after = try baseline(frame, batch, &untapped)
                results[index].add(sample, round: round, untapped: (before.processor + after.processor) / 2)
                // Two measurements of the same thing: what the others' figures are worth.
                untapped.addNoise(after.processor / before.processor)
                before = after
            }
        }
        return [untapped] + results
    }

    private func baseline(_ frame: TestFrame, _ batch: Int, _ result: inout VariantResult) throws -> Sample {
        for _ in 0..<Self.patience {
            let sample = try sampler.sample(VariantCatalogue.untapped, frame, batch: batch)
            result.add(sample, round: nil, untapped: nil)
            if sample.objection == nil { return sample }
        }
        throw BenchmarkFailure("\(sampler.path.title): \(result.objections.last ?? "the untapped path loses frames")")
    }
}
