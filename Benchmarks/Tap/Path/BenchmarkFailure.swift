// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// What went wrong, in words for whoever runs the benchmark.
struct BenchmarkFailure: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }

    /// Of the system call that failed last.
    init(call: String) { description = "\(call): \(String(cString: strerror(errno)))" }
}
