// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Testing

/// Everything that works on the real kernel, one test at a time.
@Suite(.serialized, .enabled(if: PrivateNamespaces.mayRun, "\(PrivateNamespaces.why)"), .timeLimit(.minutes(2)))
enum KernelSuite {}
