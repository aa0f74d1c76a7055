// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import TapXML

/// One of a domain's two definitions: the one that is running, or the persistent one that the next start uses.
enum MetadataSide: String, CaseIterable {
    case live
    case config

    /// The side in a sentence.
    var words: String {
        switch self {
        case .live: "the running domain"
        case .config: "the persistent definition"
        }
    }
}

/// A choice on the command line of which sides to change.
enum SideChoice: String {
    case live, config, current

    /// The sides to change.
    ///
    /// Without a choice these are all that exist, so that the tap is there now and after the next start.
    static func sides(_ choices: Set<SideChoice>, isRunning: Bool, isPersistent: Bool) throws(CommandFailure) -> [MetadataSide] {
        guard choices.count < 2 || !choices.contains(.current) else {
            throw CommandFailure(.usage, "--current excludes --live and --config")
        }
        if choices.contains(.live), !isRunning { throw CommandFailure(.failure, "the domain is not running, so --live cannot change it") }
        if choices.contains(.config), !isPersistent {
            throw CommandFailure(.failure, "the domain is transient and has no persistent definition, so --config cannot change it")
        }
        if choices.contains(.current) { return [isRunning ? .live : .config] }
        let chosen =
            choices.isEmpty
            ? [(MetadataSide.live, isRunning), (.config, isPersistent)]
            : [
                (.live, choices.contains(.live)), (.config, choices.contains(.config)),
            ]
        return chosen.filter(\.1).map(\.0)
    }
}

/// Changes the taps of one side of a domain; without I/O.
struct MetadataEdit {
    /// A change of a list of taps.
    enum Change {
        case set(TapOptions)
        case unset(names: [String], all: Bool)
    }

    /// The result for one side.
    struct Outcome: Equatable {
        /// All taps, in order; empty: the metadata element is removed.
        var taps: [Tap]
        /// What was done; for people: `tap ids added`.
        var done: [String]
        var removed: [TapName] = []
        /// Names to remove that the side does not have.
        var missing: [String] = []
        /// The tap that was set.
        var tap: Tap?
        /// Whether the change only takes `required` back from an existing tap.
        var onlyDropsRequired = false

        /// The element for virDomainSetMetadata, which adds the namespace; `nil` removes it.
        var xml: String? {
            taps.isEmpty ? nil : MetadataXML.write(taps, declaresNamespace: false)
        }
    }

    var force: Bool

    /// - Throws: a failure if the side has invalid taps, unless `force` drops them, or the change removes just these or all taps.
    func apply(_ change: Change, to reading: DomainReading, side: MetadataSide) throws(CommandFailure) -> Outcome {
        var taps: [Tap] = []
        var invalid: [TapName] = []
        for entry in reading.domain.taps {
            switch entry {
            case .valid(let tap): taps.append(tap)
            case .invalid(let name, _, _): invalid.append(name)
            }
        }
        let isNamed = reading.domain.taps.allSatisfy { Self.hasNameOfItsOwn($0, among: taps) }
        var removesInvalid = false
        if case .unset(let names, let all) = change {
            removesInvalid = all || isNamed && invalid.allSatisfy { names.contains($0.text) }
        }
        guard force || removesInvalid || invalid.isEmpty else {
            throw CommandFailure(
                .failure,
                lines: reading.diagnostics.map { "\(side.words): \($0.withoutLine)" }
                    + [Self.advice(reading.domain, isNamed ? invalid : [], side)])
        }
        var outcome = try outcome(of: change, on: taps, side)
        if !invalid.isEmpty {
            outcome.done.append("\(invalid.count) invalid tap\(invalid.count == 1 ? "" : "s") \(removesInvalid ? "removed" : "dropped")")
            outcome.removed += invalid
            outcome.missing.removeAll { name in invalid.contains { $0.text == name } }
        }
        return outcome
    }

    /// Whether no other entry has the name of an invalid one. An entry whose name could not be read is called after its destination,
    /// a duplicate has the name of the first, and the fallback name may stand for an error outside of the taps.
    private static func hasNameOfItsOwn(_ entry: TapEntry, among taps: [Tap]) -> Bool {
        guard case .invalid(let name, _, let failure) = entry else { return true }
        return failure.reason != .duplicateName && name != .fallback && !taps.contains { $0.name == name }
    }

    /// What to do about invalid taps. `virsh edit` is no help for a running domain: it changes the persistent definition only.
    /// - Parameter named: the invalid taps if each has a name of its own, else empty.
    private static func advice(_ domain: DomainDefinition, _ named: [TapName], _ side: MetadataSide) -> String {
        let name = CommandWord.domain(domain.name)
        let names = Set(named.map(\.text)).sorted().joined(separator: " ")
        return "nothing was changed: first replace the domain's taps with `virsh metadata \(name) --uri \(MetadataXML.namespace) --key tap"
            + " --\(side.rawValue) --set '<taps>…</taps>'`, or drop the invalid ones with --force; "
            + (named.isEmpty ? "" : "`virt-tap unset \(name) \(names)` removes just these, ")
            + "`virt-tap unset \(name) --all` removes all taps"
    }

    private func outcome(of change: Change, on taps: [Tap], _ side: MetadataSide) throws(CommandFailure) -> Outcome {
        var taps = taps
        switch change {
        case .set(let options):
            let tap = try TapDraft.tap(options, existing: taps, in: side)
            guard let index = taps.firstIndex(where: { $0.name == tap.name }) else {
                return Outcome(taps: taps + [tap], done: ["tap \(tap.name) added"], tap: tap)
            }
            let former = taps[index]
            taps[index] = tap
            var relaxed = former
            relaxed.required = false
            return Outcome(
                taps: taps, done: ["tap \(tap.name) \(former == tap ? "unchanged" : "changed")"], tap: tap,
                onlyDropsRequired: former.required && relaxed == tap)
        case .unset(let names, let all):
            let gone = all ? taps.map(\.name.text) : names
            let missing = all ? [] : names.filter { name in !taps.contains { $0.name.text == name } }
            let removed = taps.filter { gone.contains($0.name.text) }
            taps.removeAll { gone.contains($0.name.text) }
            return Outcome(
                taps: taps, done: removed.map { "tap \($0.name) removed" }, removed: removed.map(\.name), missing: missing)
        }
    }
}
