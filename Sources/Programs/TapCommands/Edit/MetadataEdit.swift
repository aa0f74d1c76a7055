// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import TapXML

/// One of a domain's two definitions: the one that runs, or the one that the next start uses.
enum MetadataSide: String, CaseIterable {
    case live
    case config

    /// As a sentence has it.
    var words: String {
        switch self {
        case .live: "the running domain"
        case .config: "the persistent definition"
        }
    }
}

/// Which sides a command was told to change.
enum SideChoice: String {
    case live, config, current

    /// The sides to change.
    ///
    /// With no choice: both where both are, so that the tap is there now and at the next start.
    static func sides(_ choices: Set<SideChoice>, isRunning: Bool, isPersistent: Bool) throws(CommandFailure) -> [MetadataSide] {
        guard choices.count < 2 || !choices.contains(.current) else {
            throw CommandFailure(.usage, "--current is instead of --live and --config, not beside them")
        }
        if choices.contains(.live), !isRunning { throw CommandFailure(.failure, "the domain is not running: --live has nothing to change") }
        if choices.contains(.config), !isPersistent {
            throw CommandFailure(.failure, "the domain is transient: --config has nothing to change")
        }
        if choices.contains(.current) { return [isRunning ? .live : .config] }
        let wanted =
            choices.isEmpty
            ? [(MetadataSide.live, isRunning), (.config, isPersistent)]
            : [
                (.live, choices.contains(.live)), (.config, choices.contains(.config)),
            ]
        return wanted.filter(\.1).map(\.0)
    }
}

/// Changes the taps of one side of a domain; no I/O.
struct MetadataEdit {
    /// What is to be done to a list of taps.
    enum Change {
        case set(TapOptions)
        case unset(names: [String], all: Bool)
    }

    /// What one side comes to.
    struct Outcome: Equatable {
        /// All taps, in order; empty: the element is taken out.
        var taps: [Tap]
        /// What was done, for people: `tap ids added`.
        var done: [String]
        var removed: [TapName] = []
        /// Names asked for that are not there.
        var missing: [String] = []
        /// The tap that was set.
        var tap: Tap?
        /// Whether it is the one that was there, and no more than its `required` was taken back.
        var isReleased = false

        /// For virDomainSetMetadata, which adds the namespace; `nil` takes the element out.
        var xml: String? {
            taps.isEmpty ? nil : MetadataXML.write(taps, declaresNamespace: false)
        }
    }

    var force: Bool

    /// - Throws: a failure when the side holds what cannot be understood, unless `force`, which drops that, or unless
    ///   just that is taken out, or everything.
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
        var isMeant = false
        if case .unset(let names, let all) = change {
            isMeant = all || isNamed && invalid.allSatisfy { names.contains($0.text) }
        }
        guard force || isMeant || invalid.isEmpty else {
            throw CommandFailure(
                .failure,
                lines: reading.diagnostics.map { "\(side.words): \($0.withoutLine)" }
                    + [Self.advice(reading.domain, isNamed ? invalid : [], side)])
        }
        var outcome = try outcome(of: change, on: taps, side)
        if !invalid.isEmpty {
            outcome.done.append("\(invalid.count) invalid tap\(invalid.count == 1 ? "" : "s") \(isMeant ? "removed" : "dropped")")
            outcome.removed += invalid
            outcome.missing.removeAll { name in invalid.contains { $0.text == name } }
        }
        return outcome
    }

    /// Whether an invalid entry can be told from all others by its name. One that could not be read lends that of a valid tap or of its
    /// destination, a second of one name stands beside the first, and the name that nobody has to write may stand for what is around
    /// the taps.
    private static func hasNameOfItsOwn(_ entry: TapEntry, among taps: [Tap]) -> Bool {
        guard case .invalid(let name, _, let failure) = entry else { return true }
        return failure.reason != .duplicateName && name != .fallback && !taps.contains { $0.name == name }
    }

    /// `virsh edit` would not do for a running domain: it changes the persistent definition only.
    /// - Parameter named: what cannot be understood, where each has a name of its own.
    private static func advice(_ domain: DomainDefinition, _ named: [TapName], _ side: MetadataSide) -> String {
        let name = CommandWord.domain(domain.name)
        let names = Set(named.map(\.text)).sorted().joined(separator: " ")
        return "nothing was changed: put that right first, with `virsh metadata \(name) --uri \(MetadataXML.namespace) --key tap"
            + " --\(side.rawValue) --set '<taps>…</taps>'`, which replaces all of the domain's taps, or use --force, which drops what cannot be"
            + " understood; \(named.isEmpty ? "" : "`virt-tap unset \(name) \(names)` takes out just that, ")"
            + "`virt-tap unset \(name) --all` everything"
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
            var released = former
            released.required = false
            return Outcome(
                taps: taps, done: ["tap \(tap.name) \(former == tap ? "was so already" : "changed")"], tap: tap,
                isReleased: former.required && released == tap)
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
