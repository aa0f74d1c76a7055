// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import Testing

/// The parent of all suites that run guests: write a suite as `extension EndToEnd { @Suite struct … }`.
///
/// They run one after another, since guests share two cores here. Without root they are skipped, but not where CI=true:
/// there they run, and fail.
@Suite(.serialized, .enabled(if: guestsCanRun, "guests need root: make test as root"), .timeLimit(.minutes(15)))
enum EndToEnd {}

/// Root, or CI, where what cannot run is to fail and not to be skipped.
private let guestsCanRun = geteuid() == 0 || ProcessInfo.processInfo.environment["CI"] == "true"
