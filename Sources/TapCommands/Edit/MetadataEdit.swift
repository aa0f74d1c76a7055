// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import TapXML

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

        /// For virDomainSetMetadata, which adds the namespace; `nil` takes the element out.
        var xml: String? {
            taps.isEmpty ? nil : MetadataXML.write(taps, declaresNamespace: false)
        }
    }

    var force: Bool

    /// - Throws: a failure when the side holds what cannot be understood, unless `force`, which drops that.
    func apply(_ change: Change, to reading: DomainReading, side: MetadataSide) throws(CommandFailure) -> Outcome {
        var taps: [Tap] = []
        for case .valid(let tap) in reading.domain.taps { taps.append(tap) }
        guard force || taps.count == reading.domain.taps.count else {
            throw CommandFailure(
                .failure,
                lines: reading.diagnostics.map { "\(side.words): \($0.withoutLine)" }
                    + ["nothing was changed: put that right first (virsh edit), or use --force, which drops what cannot be understood"])
        }
        let dropped = reading.domain.taps.count - taps.count
        var outcome = try outcome(of: change, on: taps)
        if dropped > 0 { outcome.done.append("\(dropped) invalid tap\(dropped == 1 ? "" : "s") dropped") }
        return outcome
    }

    private func outcome(of change: Change, on taps: [Tap]) throws(CommandFailure) -> Outcome {
        var taps = taps
        switch change {
        case .set(let options):
            let tap = try TapDraft.tap(options, existing: taps)
            guard let index = taps.firstIndex(where: { $0.name == tap.name }) else {
                return Outcome(taps: taps + [tap], done: ["tap \(tap.name) added"], tap: tap)
            }
            let isSame = taps[index] == tap
            taps[index] = tap
            return Outcome(taps: taps, done: ["tap \(tap.name) \(isSame ? "was so already" : "changed")"], tap: tap)
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
