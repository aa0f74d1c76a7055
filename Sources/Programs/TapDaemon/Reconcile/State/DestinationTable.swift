// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// The destinations of this host: what each was found to be last, what the kernel's map has of it, and which are stopped to stay below the
/// host's `<limit>`. Times are seconds of a clock that does not jump.
struct DestinationTable {
    /// What the kernel's map has of one, and why.
    struct Written {
        var verdict: DestinationVerdict
        var route: DestinationRoute
    }

    private var written: [String: Written] = [:]
    /// What each destination of the configuration was found to be last.
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

    /// Notes what a destination of the configuration is. - Returns: whether that is not what it was.
    mutating func note(_ verdict: DestinationVerdict) -> Bool {
        verdicts.updateValue(verdict, forKey: verdict.label) != verdict
    }

    /// What the kernel's map was given last for a label; `nil`: nothing, as far as this daemon knows.
    subscript(label: String) -> Written? { written[label] }

    /// Notes that the map has this.
    mutating func wrote(_ verdict: DestinationVerdict, _ route: DestinationRoute) {
        written[verdict.label] = Written(verdict: verdict, route: route)
    }

    /// Forgets what the map has of a destination: it is written anew when it is used.
    mutating func forget(_ label: String) { written[label] = nil }

    /// The map was removed.
    mutating func purge() { written = [:] }
}
