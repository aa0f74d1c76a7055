// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import TapXML

/// Carries out `set` and `unset`: reads each side of the domain, changes all of them in memory, and only when all could
/// be changed writes each for itself.
struct MetadataEditor {
    var store: any MetadataStore
    /// The host that the domain is on; `nil`: another one, or its configuration cannot be read.
    var host: HostState?
    var force = false

    struct Report: Equatable {
        /// For standard output.
        var done: [String] = []
        /// For standard error.
        var warnings: [String] = []
    }

    func run(_ change: MetadataEdit.Change, domain name: String, choices: Set<SideChoice>) async throws -> Report {
        let snapshot = try await store.domain(named: name)
        let sides = try SideChoice.sides(choices, isRunning: snapshot.isRunning, isPersistent: snapshot.isPersistent)
        var report = Report()
        var outcomes: [(side: MetadataSide, outcome: MetadataEdit.Outcome)] = []
        for side in sides {
            let reading = try read(side, of: snapshot)
            let outcome = try MetadataEdit(force: force).apply(change, to: reading, side: side)
            try validate(outcome, reading.domain, side, &report)
            outcomes.append((side, outcome))
        }
        try requireSomething(change, outcomes.map(\.outcome), domain: snapshot.name)
        for (index, (side, outcome)) in outcomes.enumerated() {
            do {
                try await store.setMetadata(outcome.xml, of: snapshot.uuid, live: side == .live, config: side == .config)
            } catch  where index > 0 {
                throw CommandFailure(
                    .failure,
                    "\(outcomes[0].side.words) was changed, \(side.words) was not: \("\(error)".printable)")
            }
            for line in outcome.done { report.done.append("\(snapshot.name.printable): \(line) in \(side.words)") }
        }
        return report
    }

    private func read(_ side: MetadataSide, of snapshot: DomainSnapshot) throws(CommandFailure) -> DomainReading {
        let xml = side == .live ? snapshot.liveXML : snapshot.persistentXML ?? []
        do {
            return try DomainXML.read(xml)
        } catch {
            throw CommandFailure(.failure, lines: error.diagnostics.map { "\(side.words): \($0.withoutLine)" })
        }
    }

    private func validate(
        _ outcome: MetadataEdit.Outcome, _ domain: DomainDefinition, _ side: MetadataSide, _ report: inout Report
    ) throws(CommandFailure) {
        guard let tap = outcome.tap, let host else { return }
        var domain = domain
        domain.taps = outcome.taps.map { .valid($0) }
        let validation = TapValidation(tap, in: domain, on: host, side: side)
        guard force || validation.refusals.isEmpty else {
            throw CommandFailure(.failure, lines: validation.refusals + ["nothing was changed; --force writes it all the same"])
        }
        for line in validation.refusals + validation.warnings where !report.warnings.contains(line) { report.warnings.append(line) }
    }

    /// A name is missing when no side has it.
    private func requireSomething(_ change: MetadataEdit.Change, _ outcomes: [MetadataEdit.Outcome], domain: String) throws(CommandFailure)
    {
        guard case .unset(let names, let all) = change else { return }
        if all {
            guard outcomes.contains(where: { !$0.done.isEmpty }) else { throw CommandFailure(.failure, "\(domain.printable) has no taps") }
            return
        }
        let missing = names.filter { name in outcomes.allSatisfy { $0.missing.contains(name) } }
        guard !missing.isEmpty else { return }
        let present = Set(outcomes.flatMap { $0.taps.map(\.name.text) + $0.removed.map(\.text) }).sorted()
        throw CommandFailure(
            .failure,
            lines: missing.map { name in
                let nearest = NearestName.of(name, among: present)
                return "\(domain.printable) has no tap \"\(name.printable)\"" + (nearest.map { "; did you mean \($0)?" } ?? "")
            } + ["nothing was changed"])
    }
}
