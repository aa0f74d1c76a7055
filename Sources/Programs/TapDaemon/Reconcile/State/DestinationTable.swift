// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// The destinations of this host: the last verdict on each, its entry in the kernel's map, and which are stopped to stay below the host's
/// `<limit>`. Times are seconds of a clock that does not jump.
struct DestinationTable {
    /// The entry of one in the kernel's map, and why it is so.
    struct Written {
        var verdict: DestinationVerdict
        var route: DestinationRoute
    }

    private var written: [String: Written] = [:]
    /// The last verdict on each destination of the configuration.
    private var verdicts: [String: DestinationVerdict] = [:]
    /// Keeps all copies together below the host's `<limit>`.
    private var breaker = CopyBreaker()
    /// Counts changes that a plan depends on.
    private(set) var generation = 0

    /// Why copying is stopped to stay below the limit, by label.
    var overloads: [String: Failure] { breaker.failures }

    /// Takes in what the destinations have counted. - Returns: whether that stops or resumes copying to one.
    mutating func measure(_ records: [DestinationRecord], limit: RateLimit?, at now: Double) -> Bool {
        let before = breaker.failures
        breaker.update(with: records, limit: limit, now: now)
        guard breaker.failures != before else { return false }
        generation += 1
        return true
    }

    /// Records a verdict on a destination of the configuration. - Returns: whether it changed.
    mutating func note(_ verdict: DestinationVerdict) -> Bool {
        verdicts.updateValue(verdict, forKey: verdict.label) != verdict
    }

    /// The entry that was written last for a label; `nil`: this daemon wrote none.
    subscript(label: String) -> Written? { written[label] }

    /// Records an entry that was written.
    mutating func wrote(_ verdict: DestinationVerdict, _ route: DestinationRoute) {
        written[verdict.label] = Written(verdict: verdict, route: route)
    }

    /// Forgets an entry: it is written anew when the destination is used.
    mutating func forget(_ label: String) { written[label] = nil }

    /// The map was removed.
    mutating func purge() { written = [:] }
}
