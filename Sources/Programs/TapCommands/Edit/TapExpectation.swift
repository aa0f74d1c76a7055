// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// What a status document shows once a daemon has seen a change of a running domain; no I/O.
struct TapExpectation: Equatable {
    var domain: String
    var uuid: DomainUUID
    /// The tap that was set.
    var tap: Tap?
    /// Those that were removed.
    var removed: [TapName] = []
    /// The running domain's.
    var interfaces: [DomainInterface] = []

    /// What one document says of the change.
    enum Finding: Equatable {
        /// The daemon has not seen it yet.
        case unseen
        /// Seen, and still on its way.
        case underway(String)
        /// It does what it should; for standard output.
        case good(String)
        /// The host wants nothing of it copied, which is no fault; for standard error.
        case off(String)
        /// It does not, as `status --check` has it; for standard error.
        /// - Parameter isPassing: it may by itself, in a moment or never.
        case bad(String, isPassing: Bool)

        var isBad: Bool {
            if case .bad = self { true } else { false }
        }

        /// What is wrong, or not done, as far as that is known.
        var trouble: String? {
            switch self {
            case .underway(let line), .off(let line), .bad(let line, _): line
            case .unseen, .good: nil
            }
        }
    }

    func finding(in document: StatusDocument) -> Finding {
        let own = document.taps.filter { $0.uuid == uuid && $0.definition != .configOnly }
        guard let tap else {
            guard !removed.isEmpty else { return .good("") }
            let left = own.filter { removed.contains($0.name) }
            guard let first = left.first else {
                let names = removed.map(\.text).joined(separator: ", ")
                return .good("\(domain.printable): tap\(removed.count == 1 ? "" : "s") \(names): no longer copied")
            }
            return .underway("\(domain.printable): tap \(first.name) is still \(first.state.rawValue)")
        }
        guard let status = own.first(where: { $0.name == tap.name }), shows(status, tap) else { return .unseen }
        let name = "\(domain.printable): tap \(tap.name)"
        switch status.state {
        case .active: return .good("\(name): active, copying to \(tap.destination.label.printable)")
        case .disabled where status.reason == .disabledByMetadata: return .good("\(name): switched off")
        case .pending: return .underway("\(name) is pending: \(why(status))")
        case .disabled: return .off("\(name) is disabled: \(why(status))")
        case .failed, .denied, .degraded, .unsupported:
            return .bad("\(name) is \(status.state.rawValue): \(why(status))", isPassing: status.reason?.isPassing == true)
        }
    }

    /// What there is to know of a tap that was written and does not work.
    var consolation: String? {
        guard let tap else { return nil }
        return
            "the metadata are written, so it begins to copy when that is put right; `virt-tap unset \(CommandWord.domain(domain)) \(tap.name)`"
            + " takes the tap out again"
    }

    private func why(_ status: TapStatus) -> String {
        [status.reason?.rawValue, status.explanation?.printable].compactMap { $0 }.joined(separator: ": ")
    }

    /// Whether a line of the document is of the tap as it was written, as far as the document can tell.
    private func shows(_ status: TapStatus, _ tap: Tap) -> Bool {
        guard status.destination == tap.destination.label, status.direction == tap.direction, status.enabled == tap.enabled,
            status.required == tap.required, status.filter == tap.filter, status.snaplen == tap.snaplen?.description,
            Self.shows(status, tap.sampling), status.rate == tap.rate?.text, status.burst == tap.rate?.burstText,
            (status.once ?? false) == tap.once
        else { return false }
        return status.interfaces.isEmpty || Set(status.interfaces.map(\.mac)) == Set(interfaces.filter(tap.selects).map(\.mac))
    }

    private static func shows(_ status: TapStatus, _ sampling: Sampling?) -> Bool {
        switch sampling {
        case nil: status.sample == nil && status.sampleFlows == nil
        case .packets(let count): status.sample == "1/\(count)"
        case .flows(let count): status.sampleFlows == "1/\(count)"
        }
    }
}
