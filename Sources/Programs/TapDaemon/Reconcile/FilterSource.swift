// SPDX-License-Identifier: LGPL-2.1-or-later

import FilterCompiler
import TapModel

/// Who compiles filters: libpcap in a child, or a stand-in in tests.
protocol FilterSource: Sendable {
    /// May take seconds, and blocks nobody's thread.
    /// - Throws: `invalid-filter` and `filter-too-large`, which are the expression's; anything else is this host's, and may come
    ///   out otherwise another time.
    func compile(_ expression: String) async throws(Failure) -> CompiledFilter
}

extension FilterCompiler: FilterSource {}
