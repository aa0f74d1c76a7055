// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Foundation
import Testing

/// Everything that works on the real kernel, one test at a time.
@Suite(.serialized, .enabled(if: PrivateNamespaces.mayRun, "\(PrivateNamespaces.why)"), .timeLimit(.minutes(10)))
enum KernelSuite {
    /// In `make test-kernels` each load of a program takes a quarter of a second, so that a test that makes every single
    /// call fail takes each third one, and one that repeats does so less often.
    static let isEmulated = ProcessInfo.processInfo.environment["VT_KERNEL_MATRIX"] == "1"
    static let stride = isEmulated ? 3 : 1
}

/// What needs kernel modules that not every kernel has, and a machine of its own: `make test-kernels` runs these on
/// kernels that have all of it, and `make test` leaves them out by name.
@Suite(.serialized, .enabled(if: isKernelOfOurOwn, "run by make test-kernels"), .timeLimit(.minutes(5)))
enum MatrixSuite {}

private let isKernelOfOurOwn = ProcessInfo.processInfo.environment["VT_KERNEL_MATRIX"] == "1"

/// Runs a command that puts itself into the background. It must not inherit our descriptors: Foundation takes a process
/// for running as long as anybody holds one of them.
func startDaemon(_ command: String, log: String) throws {
    let closing = "for fd in /proc/self/fd/*; do fd=${fd##*/}; [ $fd -le 2 ] || eval \"exec $fd>&-\"; done"
    try run("bash", "-c", "exec </dev/null >\(log) 2>&1; \(closing); exec \(command)")
}
