// SPDX-License-Identifier: LGPL-2.1-or-later

import Hypervisor
import TapModel
import TapXML

/// Reads and writes metadata: libvirt, or a stand-in in tests.
protocol MetadataStore {
    func domain(named name: String) async throws -> DomainSnapshot
    func setMetadata(_ xml: String?, of uuid: DomainUUID, live: Bool, config: Bool) async throws
}

extension LibvirtMetadataEditor: MetadataStore {
    func setMetadata(_ xml: String?, of uuid: DomainUUID, live: Bool, config: Bool) async throws {
        try await setMetadata(xml, of: uuid, uri: MetadataXML.namespace, key: "tap", live: live, config: config)
    }
}

/// Executes `set` and `unset`: reads each side of the domain, changes all sides in memory, and writes them only if every change
/// succeeded.
struct MetadataEditor {
    var store: any MetadataStore
    /// The state of the domain's host; `nil`: it is another host, or its configuration cannot be read.
    var host: HostState?
    /// Compiles filters to check them; `nil`: filters are not checked.
    var filters: FilterCheck?
    var force = false

    struct Report: Equatable {
        /// Lines for standard output.
        var done: [String] = []
        /// Lines for standard error.
        var warnings: [String] = []
        /// The reasons of those warnings that virt-tapd may report as well: `TapValidation.transient`.
        var transient: [String: Reason] = [:]
        /// What virt-tapd should show after the change; `nil`: the running domain was not changed.
        var expectation: TapExpectation?
    }

    private struct Step {
        var side: MetadataSide
        var outcome: MetadataEdit.Outcome
        var validation: TapValidation?
        var interfaces: [DomainInterface]
    }

    func run(_ change: MetadataEdit.Change, domain name: String, choices: Set<SideChoice>) async throws -> Report {
        let snapshot = try await store.domain(named: name)
        let sides = try SideChoice.sides(choices, isRunning: snapshot.isRunning, isPersistent: snapshot.isPersistent)
        var report = Report()
        var steps: [Step] = []
        for side in sides {
            let reading = try read(side, of: snapshot)
            let outcome = try MetadataEdit(force: force).apply(change, to: reading, side: side)
            let validation = await validation(of: outcome, reading.domain, side)
            steps.append(Step(side: side, outcome: outcome, validation: validation, interfaces: reading.domain.interfaces))
        }
        try judge(steps, &report)
        let onlySide = steps.count == 1 && snapshot.isRunning && snapshot.isPersistent ? steps[0].side : nil
        try requireSomething(change, steps.map(\.outcome), domain: snapshot.name, in: onlySide)
        for (index, step) in steps.enumerated() {
            do {
                try await store.setMetadata(
                    step.outcome.xml, of: snapshot.uuid, live: step.side == .live, config: step.side == .config)
            } catch  where index > 0 {
                throw CommandFailure(
                    .failure,
                    "\(steps[0].side.words) was changed, but \(step.side.words) was not: \("\(error)".printable)")
            }
            for line in step.outcome.done { report.done.append("\(snapshot.name.printable): \(line) in \(step.side.words)") }
            if step.side == .live {
                report.expectation = TapExpectation(
                    domain: snapshot.name, uuid: snapshot.uuid, tap: step.outcome.tap, removed: step.outcome.removed,
                    interfaces: step.interfaces)
            }
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

    private func validation(of outcome: MetadataEdit.Outcome, _ domain: DomainDefinition, _ side: MetadataSide) async -> TapValidation? {
        guard let tap = outcome.tap else { return nil }
        let compiled = await filters?.results(of: [.valid(tap)]) ?? [:]
        // For another host only the filter can be checked.
        guard var host else { return tap.filter.flatMap { compiled[$0] }.map { TapValidation(tap, filter: $0) } }
        host.filters = compiled
        var domain = domain
        domain.taps = outcome.taps.map { .valid($0) }
        let validation = TapValidation(tap, in: domain, on: host, side: side)
        // So that a guest can be started that was refused because of this tap.
        return outcome.onlyDropsRequired ? validation.asWarnings() : validation
    }

    private func judge(_ steps: [Step], _ report: inout Report) throws(CommandFailure) {
        let refused = steps.filter { $0.validation?.refusals.isEmpty == false }
        // The side is named only if the two are refused for different reasons.
        let isOneSided = steps.count > 1 && Set(steps.map { $0.validation?.refusals ?? [] }).count > 1
        var refusals: [String] = []
        for step in refused {
            for line in step.validation?.refusals ?? [] {
                let text = isOneSided ? "\(step.side.words): \(line)" : line
                if !refusals.contains(text) { refusals.append(text) }
            }
        }
        guard force || refusals.isEmpty else {
            let good = steps.first { $0.validation?.refusals.isEmpty != false }
            let alone = good.map { "--\($0.side.rawValue) changes only \($0.side.words), " } ?? ""
            throw CommandFailure(.failure, lines: refusals + ["nothing was changed; \(alone)--force writes the tap anyway"])
        }
        for line in refusals + steps.flatMap({ $0.validation?.warnings ?? [] }) where !report.warnings.contains(line) {
            report.warnings.append(line)
        }
        for step in steps { report.transient.merge(step.validation?.transient ?? [:]) { first, _ in first } }
    }

    /// Throws if there is nothing to remove: a tap is missing if no side has it.
    /// - Parameter side: the only side that was chosen, if the domain has both.
    private func requireSomething(
        _ change: MetadataEdit.Change, _ outcomes: [MetadataEdit.Outcome], domain: String, in side: MetadataSide?
    ) throws(CommandFailure) {
        let place = side.map { " in \($0.words)" } ?? ""
        guard case .unset(let names, let all) = change else { return }
        if all {
            guard outcomes.contains(where: { !$0.done.isEmpty }) else {
                throw CommandFailure(.failure, "\(domain.printable) has no tap\(place)")
            }
            return
        }
        let missing = names.filter { name in outcomes.allSatisfy { $0.missing.contains(name) } }
        guard !missing.isEmpty else { return }
        let present = Set(outcomes.flatMap { $0.taps.map(\.name.text) + $0.removed.map(\.text) }).sorted()
        throw CommandFailure(
            .failure,
            lines: missing.map { name in
                let nearest = NearestName.of(name, among: present)
                return "\(domain.printable) has no tap \"\(name.printable)\"\(place)" + (nearest.map { "; did you mean \($0)?" } ?? "")
            } + ["nothing was changed"])
    }
}
