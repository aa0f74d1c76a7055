// SPDX-License-Identifier: LGPL-2.1-or-later

import TapControl
import TapModel

/// Waits until virt-tapd has seen a change of a running domain, and says what became of it.
struct ChangeConfirmation {
    /// A line for standard output, without newline; `nil`: none.
    var done: String?
    /// A line for standard error; `nil`: none.
    var warning: String?
    /// The reason of the warning, if it is one of the tap's.
    var reason: Reason?
    /// Whether the tap does not work.
    var isUnhealthy = false

    /// How long a command waits at most.
    private static let timeout: Duration = .seconds(3)
    /// The time between two readings of the status.
    private static let interval: Duration = .milliseconds(100)
    /// How long a failure that may pass by itself is given to pass, such as a next hop that has not answered yet.
    private static let grace: Duration = .seconds(1)

    /// Reads the status again and again until it shows the change, or the time is over.
    /// - Parameters:
    ///   - clock: measures the time, and sleeps.
    ///   - readStatus: reads the status document within the given time.
    static func wait<Time: Clock>(
        for expectation: TapExpectation, timeout: Duration = timeout, grace: Duration = grace, interval: Duration = interval,
        clock: Time = ContinuousClock(), readStatus: (Duration) throws(ControlError) -> StatusDocument
    ) async -> ChangeConfirmation where Time.Duration == Duration {
        let begin = clock.now
        let end = begin.advanced(by: timeout)
        var before: TapExpectation.Progress?
        while true {
            let document: StatusDocument
            do throws(ControlError) {
                document = try readStatus(max(interval, clock.now.duration(to: end)))
            } catch .timedOut {
                // If virt-tapd answered before, its last answer counts.
                return before.flatMap(ChangeConfirmation.init)
                    ?? ChangeConfirmation(
                        warning: "virt-tapd does not answer: the change takes effect when it does; "
                            + "`systemctl restart virt-tapd` does not interrupt copying")
            } catch .notRunning {
                return ChangeConfirmation(warning: "virt-tapd is not running: the change takes effect when it runs")
            } catch {
                return ChangeConfirmation(warning: "cannot ask virt-tapd whether the tap works: \(error)")
            }
            if document.daemon.connected == false {
                return ChangeConfirmation(warning: "virt-tapd is not connected to libvirt: the change takes effect when it is")
            }
            let progress = expectation.progress(in: document)
            switch progress {
            case .good(let line): return ChangeConfirmation(done: line.isEmpty ? nil : line)
            // A failure counts if it is seen twice: the next event may end it.
            case .bad(_, let isPassing) where progress == before && (!isPassing || begin.duration(to: clock.now) >= grace):
                if let confirmation = ChangeConfirmation(progress) { return confirmation }
            case .off where progress == before:
                if let confirmation = ChangeConfirmation(progress) { return confirmation }
            case .bad, .off, .underway, .unseen: break
            }
            before = progress
            guard clock.now < end else {
                return ChangeConfirmation(progress)
                    ?? ChangeConfirmation(
                        warning:
                            "\(expectation.domain.printable): virt-tapd has not seen the change yet; `virt-tap status` shows when it has")
            }
            try? await clock.sleep(for: interval)
        }
    }

    private init(done: String? = nil, warning: String? = nil) {
        self.done = done
        self.warning = warning
    }

    /// What is wrong with the tap; `nil`: nothing is known to be wrong.
    private init?(_ progress: TapExpectation.Progress) {
        switch progress {
        case .underway(let trouble), .off(let trouble): (warning, reason) = (trouble.line, trouble.reason)
        case .bad(let trouble, _): (warning, reason, isUnhealthy) = (trouble.line, trouble.reason, true)
        case .unseen, .good: return nil
        }
    }
}

/// What the status document should show once virt-tapd has seen a change of a running domain; without I/O.
struct TapExpectation: Equatable {
    var domain: String
    var uuid: DomainUUID
    /// The tap that was set; `nil`: taps were removed.
    var tap: Tap?
    /// The taps that were removed.
    var removed: [TapName] = []
    /// The interfaces of the running domain.
    var interfaces: [DomainInterface] = []

    /// Why a tap is not as expected.
    struct Trouble: Equatable {
        /// One line for standard error.
        var line: String
        var reason: Reason?
    }

    /// How far the change has come, by one status document.
    enum Progress: Equatable {
        /// virt-tapd has not seen the change yet.
        case unseen
        /// virt-tapd has seen the change, and has not executed it yet.
        case underway(Trouble)
        /// The change is in effect. The line is for standard output.
        case good(String)
        /// This host disables the tap, which is no error.
        case off(Trouble)
        /// The tap does not work, by the rule of `status --check`.
        /// - Parameter isPassing: whether the reason may pass by itself.
        case bad(Trouble, isPassing: Bool)
    }

    func progress(in document: StatusDocument) -> Progress {
        let own = document.taps.filter { $0.uuid == uuid && $0.definition != .configOnly }
        guard let tap else {
            guard !removed.isEmpty else { return .good("") }
            let left = own.filter { removed.contains($0.name) }
            guard let first = left.first else {
                let names = removed.map(\.text).joined(separator: ", ")
                return .good("\(domain.printable): tap\(removed.count == 1 ? "" : "s") \(names): no longer copied")
            }
            return .underway(Trouble(line: "\(domain.printable): tap \(first.name) is still \(first.state.rawValue)"))
        }
        guard let status = own.first(where: { $0.name == tap.name }), shows(status, tap) else { return .unseen }
        let name = "\(domain.printable): tap \(tap.name)"
        let trouble = Trouble(
            line: "\(name) is \(status.state.rawValue): \(StatusNotes.sentence(status.explanation, status.reason))", reason: status.reason)
        switch status.state {
        case .active: return .good("\(name): active, copying to \(tap.destination.label.printable)")
        case .disabled where status.reason == .disabledByMetadata: return .good("\(name): switched off")
        case .pending: return .underway(trouble)
        case .disabled: return .off(trouble)
        case .failed, .denied, .degraded, .unsupported: return .bad(trouble, isPassing: status.reason?.allowsSet == true)
        }
    }

    /// What to know, and what to do, about a tap that was written and does not work.
    var advice: String? {
        guard let tap else { return nil }
        return "the metadata is written: the tap copies as soon as the problem is solved; "
            + "`virt-tap unset \(CommandWord.domain(domain)) \(tap.name)` removes it"
    }

    /// Whether the status is of the tap as it was written, as far as the document shows it.
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
