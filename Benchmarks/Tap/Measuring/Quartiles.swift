// SPDX-License-Identifier: LGPL-2.1-or-later

/// The middle of many measurements, and how far they lie apart.
struct Quartiles: Codable {
    var lower: Double
    var median: Double
    var upper: Double
    var count: Int

    init?(_ values: [Double]) {
        guard !values.isEmpty else { return nil }
        let sorted = values.sorted()
        func quantile(_ share: Double) -> Double {
            let place = share * Double(sorted.count - 1)
            let low = Int(place)
            let high = min(low + 1, sorted.count - 1)
            return sorted[low] + (sorted[high] - sorted[low]) * (place - Double(low))
        }
        lower = quantile(0.25)
        median = quantile(0.5)
        upper = quantile(0.75)
        count = sorted.count
    }
}
