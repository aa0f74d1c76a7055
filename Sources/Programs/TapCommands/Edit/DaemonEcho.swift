// SPDX-License-Identifier: LGPL-2.1-or-later

import TapControl
import TapModel

/// Waits until a daemon has seen a change of a running domain, and says what became of it.
struct DaemonEcho {
    /// For standard output, one line without its end; `nil`: nothing to say there.
    var done: String?
    /// For standard error.
    var warning: String?
    /// Whether the tap was seen not to work.
    var isUnhealthy = false

    /// The longest that a command waits, and how often it looks meanwhile.
    private static let patience: Duration = .seconds(3)
    private static let pause: Duration = .milliseconds(100)
    /// How long what may pass by itself may last, such as a neighbour's answer that is awaited.
    private static let grace: Duration = .seconds(1)

    /// - Parameters:
    ///   - clock: tells how long it has waited, and waits.
    ///   - look: a status document, as it is now, in no longer than it is told.
    static func of<Time: Clock>(
        _ expectation: TapExpectation, patience: Duration = patience, grace: Duration = grace, pause: Duration = pause,
        clock: Time = ContinuousClock(), look: (Duration) throws(ControlError) -> StatusDocument
    ) async -> DaemonEcho where Time.Duration == Duration {
        let begin = clock.now
        let end = begin.advanced(by: patience)
        var before: TapExpectation.Finding?
        while true {
            let document: StatusDocument
            do throws(ControlError) {
                document = try look(max(pause, clock.now.duration(to: end)))
            } catch .timedOut {
                // It may have answered a moment ago.
                return DaemonEcho(
                    warning: before?.trouble
                        ?? "virt-tapd does not answer, so this takes effect when it does; `systemctl restart virt-tapd` harms no tap",
                    isUnhealthy: before?.isBad == true)
            } catch .notRunning {
                return DaemonEcho(warning: "virt-tapd is not running: this takes effect when it runs")
            } catch {
                return DaemonEcho(warning: "what virt-tapd makes of it cannot be asked: \(error)")
            }
            if document.daemon.connected == false {
                return DaemonEcho(warning: "virt-tapd is not connected to libvirt: this takes effect when it is")
            }
            let finding = expectation.finding(in: document)
            switch finding {
            case .good(let line): return DaemonEcho(done: line.isEmpty ? nil : line)
            // Twice the same: what fails at first may be mended by the next event.
            case .bad(let line, let isPassing) where finding == before && (!isPassing || begin.duration(to: clock.now) >= grace):
                return DaemonEcho(warning: line, isUnhealthy: true)
            case .off(let line) where finding == before: return DaemonEcho(warning: line)
            case .bad, .off, .underway, .unseen: break
            }
            before = finding
            guard clock.now < end else {
                return DaemonEcho(
                    warning: finding.trouble
                        ?? "\(expectation.domain.printable): virt-tapd has not seen the change yet; `virt-tap status` tells when it has",
                    isUnhealthy: finding.isBad)
            }
            try? await clock.sleep(for: pause)
        }
    }
}

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
        // Which tap it is stands before it.
        let message = status.message.map { text in
            status.interfaces.reduce(text) { StatusNotes.withoutSubject($0, of: status, on: $1) }
        }
        return [status.reason?.rawValue, message?.printable].compactMap { $0 }.joined(separator: ": ")
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
