// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Foundation
import Testing

/// Everything that works on the real kernel, one test at a time.
@Suite(.serialized, .enabled(if: PrivateNamespaces.mayRun, "\(PrivateNamespaces.why)"), .timeLimit(.minutes(2)))
enum KernelSuite {
    /// In `make test-kernels` each load of a program takes a quarter of a second, so that a test that makes every single
    /// call fail takes each third one, and one that repeats does so less often.
    static let isEmulated = ProcessInfo.processInfo.environment["VT_KERNEL_MATRIX"] == "1"
    static let stride = isEmulated ? 3 : 1
}
