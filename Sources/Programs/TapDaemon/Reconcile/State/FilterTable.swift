// SPDX-License-Identifier: LGPL-2.1-or-later

import FilterCompiler
import TapModel

/// Who compiles filters: libpcap in a child, or a stand-in in tests.
protocol FilterSource: Sendable {
    /// Can need seconds, and blocks nobody's thread.
    /// - Throws: `invalid-filter` and `filter-too-large`, which are the expression's; anything else is this host's, and may come
    ///   out otherwise another time.
    func compile(_ expression: String) async throws(Failure) -> CompiledFilter
}

extension FilterCompiler: FilterSource {}

/// What the domains' filters compile to, as far as that is known. Times are seconds of a clock that does not jump.
struct FilterTable {
    /// For `HostState.filters`.
    private(set) var results: [String: Result<CompiledFilter, Failure>] = [:]
    /// Programs that the kernel's verifier refused.
    private(set) var refusedOptions: [CopyOptions: Failure] = [:]
    /// What is being compiled, for whom and since when.
    private var underWay: [String: (domain: DomainUUID, since: Double)] = [:]
    /// When what failed for this host's sake is tried again.
    private var retries: [String: Double] = [:]
    /// Counts results that a plan depends on.
    private(set) var generation = 0

    /// How long after a failure that was the host's it is tried again.
    static let retryInterval = 10.0

    /// Seconds within which nearly all filters are compiled.
    static let usualTime = 0.5

    /// Whether a result is to be expected about now: nobody waits for a filter that was built to be slow.
    func isResultDue(at now: Double) -> Bool { underWay.values.contains { now - $0.since < Self.usualTime } }

    func isCompiling(_ expression: String) -> Bool { underWay[expression] != nil }

    /// Whether one of the domain's is being compiled: a domain has one at a time, so that others' wait for one of its at most.
    func isCompiling(for domain: DomainUUID) -> Bool { underWay.values.contains { $0.domain == domain } }

    /// Whether an expression is to be compiled now.
    func isDue(_ expression: String, at now: Double) -> Bool {
        guard underWay[expression] == nil else { return false }
        return results[expression] == nil || retries[expression].map { now >= $0 } == true
    }

    mutating func start(_ expression: String, for domain: DomainUUID, at now: Double) { underWay[expression] = (domain, now) }

    /// Records a result. - Returns: in how many seconds it is to be asked for again, if it is the host's trouble.
    mutating func record(_ expression: String, _ result: Result<CompiledFilter, Failure>, at now: Double) -> Double? {
        underWay[expression] = nil
        results[expression] = result
        generation += 1
        retries[expression] = nil
        guard case .failure(let failure) = result, FilterCompiler.isOfHost(failure) else { return nil }
        retries[expression] = now + Self.retryInterval
        return Self.retryInterval
    }

    /// Notes that the kernel's verifier refuses a program that does this, for whichever tap it is.
    mutating func refuse(_ options: CopyOptions, _ failure: Failure) {
        var failure = failure
        failure.subject = nil
        refusedOptions[options] = failure
        generation += 1
    }

    /// Forgets what nobody asks for any more.
    mutating func keep(_ desired: Set<String>) {
        refusedOptions = refusedOptions.filter { $0.key.filter.map(desired.contains) ?? false }
        guard results.keys.contains(where: { !desired.contains($0) }) else { return }
        results = results.filter { desired.contains($0.key) }
        retries = retries.filter { desired.contains($0.key) }
    }
}
