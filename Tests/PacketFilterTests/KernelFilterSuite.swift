// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Foundation
import Testing

/// Translated filters in the running kernel, one test at a time.
@Suite(.serialized, .enabled(if: PrivateNamespaces.mayRun, "\(PrivateNamespaces.why)"), .timeLimit(.minutes(5)))
enum KernelFilterSuite {
    /// Where a load takes a quarter of a second, each so many-th filter is enough.
    static let stride = ProcessInfo.processInfo.environment["VT_KERNEL_MATRIX"] == "1" ? 10 : 1
}
