// SPDX-License-Identifier: LGPL-2.1-or-later

/// Many measurements of one thing, in milliseconds.
struct Spread {
    var median: Double
    /// 99 of 100 are no longer.
    var percentile99: Double
    var maximum: Double
    var count: Int

    init(_ milliseconds: [Double]) {
        let sorted = milliseconds.sorted()
        count = sorted.count
        median = sorted.isEmpty ? 0 : sorted[count / 2]
        percentile99 = sorted.isEmpty ? 0 : sorted[min(count - 1, count * 99 / 100)]
        maximum = sorted.last ?? 0
    }
}
