// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import TapModel

/// Filters are compiled beside everything else: one that was built to be slow keeps its own tap waiting and nothing else.
extension Reconciler {
    /// Has compiled what a domain's taps wait for, one filter after the other.
    func compileFilters(of uuid: DomainUUID) {
        guard let verdicts = domains[uuid]?.view.verdicts, !filters.isCompiling(for: uuid) else { return }
        let now = clock.monotonic()
        for verdict in verdicts where TapEvaluation.awaitsFilter(verdict) {
            guard case .valid(let tap) = verdict.entry, let expression = tap.filter, filters.isDue(expression, at: now) else { continue }
            filters.start(expression, for: uuid, at: now)
            Task { await compile(expression, for: uuid) }
            return
        }
    }

    private func compile(_ expression: String, for uuid: DomainUUID) async {
        let result: Result<CompiledFilter, Failure>
        do throws(Failure) {
            result = .success(try await compiler.compile(expression))
        } catch {
            result = .failure(error)
            logger.debug("filter not compiled: \(error.message.printable)", metadata: ["reason": "\(error.reason.rawValue)"])
        }
        let retry = filters.record(expression, result, at: clock.monotonic())
        forgetUnusedFilters()
        reevaluate(usersOf: expression, and: uuid)
        if let retry { for user in users(of: expression) { request(.domain(user), after: retry) } }
    }

    /// Remembers that the kernel's verifier refuses a program that does this, whoever asks for it: it is not tried again, and
    /// what was attached before for those taps goes.
    func refuse(_ options: CopyOptions, _ failure: Failure) {
        filters.refuse(options, failure)
        if let expression = options.filter { reevaluate(usersOf: expression) }
    }

    /// Waits for what a domain's taps wait for. - Returns: whether anything was waited for.
    func filtersCame(for uuid: DomainUUID, until deadline: Double) async -> Bool {
        guard awaitsFilters(uuid) else { return false }
        while awaitsFilters(uuid), clock.monotonic() < deadline, !isStopped { try? await Task.sleep(for: .milliseconds(5)) }
        return true
    }

    /// Forgets what no running domain asks for.
    func forgetUnusedFilters() {
        filters.keep(Set(domains.all.values.lazy.flatMap { $0.view.live?.taps ?? [] }.compactMap(\.filter)))
    }

    private func awaitsFilters(_ uuid: DomainUUID) -> Bool {
        domains[uuid]?.view.verdicts.contains { verdict in
            guard TapEvaluation.awaitsFilter(verdict), let expression = verdict.entry.filter else { return false }
            return filters.results[expression] == nil
        } ?? false
    }

    private func users(of expression: String) -> [DomainUUID] {
        domains.all.filter { $0.value.view.live?.taps.contains { $0.filter == expression } ?? false }.map(\.key)
    }

    /// No need to ask libvirt, which may not answer: nothing but the filter is news.
    private func reevaluate(usersOf expression: String, and other: DomainUUID? = nil) {
        let host = readHost()
        for uuid in Set(users(of: expression) + [other].compactMap { $0 }) where domains[uuid] != nil {
            evaluate(uuid, on: host)
            enqueue(uuid)
        }
    }
}

extension TapEntry {
    /// The expression of a tap that can be understood.
    fileprivate var filter: String? {
        if case .valid(let tap) = self { tap.filter } else { nil }
    }
}
