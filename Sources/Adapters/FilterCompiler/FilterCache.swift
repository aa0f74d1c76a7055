// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// What expressions compiled to, the last ones that were asked for.
struct FilterCache {
    private var entries: [String: (result: Result<CompiledFilter, Failure>, used: UInt64)] = [:]
    private var clock: UInt64 = 0
    private let capacity: Int

    init(capacity: Int = 256) { self.capacity = capacity }

    /// Asking counts as use.
    subscript(expression: String) -> Result<CompiledFilter, Failure>? {
        mutating get {
            clock += 1
            entries[expression]?.used = clock
            return entries[expression]?.result
        }
        set {
            clock += 1
            entries[expression] = newValue.map { ($0, clock) }
            guard entries.count > capacity, let oldest = entries.min(by: { $0.value.used < $1.value.used }) else { return }
            entries[oldest.key] = nil
        }
    }
}
