// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// Something that a benchmark needs did not come about.
struct BenchmarkFailure: Error, CustomStringConvertible {
    var description: String
}

/// How many seconds something takes.
func elapsed(_ body: () throws -> Void) rethrows -> Double {
    let start = DispatchTime.now().uptimeNanoseconds
    try body()
    return Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
}

/// Looks every so many seconds until something is so.
func wait(_ what: String, within limit: Double, every interval: Double = 0.02, until isSo: () throws -> Bool) throws {
    let end = Date(timeIntervalSinceNow: limit)
    while try !isSo() {
        guard Date() < end else { throw BenchmarkFailure(description: "waited \(limit) s in vain for \(what)") }
        Thread.sleep(forTimeInterval: interval)
    }
}
