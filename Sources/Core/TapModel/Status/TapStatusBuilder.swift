// SPDX-License-Identifier: LGPL-2.1-or-later

/// Makes the lines of the status document from verdicts and from what the kernel holds: the one place where states are
/// put together.
public struct TapStatusBuilder: Sendable {
    /// Warnings that hold for every active tap of the host, such as `hook-missing` and `config-stale`.
    public var hostWarnings: [TapStatus.Warning]
    public var kernel: KernelView
    /// Why libvirt cannot be asked at the moment; `nil`: it can.
    public var disconnected: String?
    /// The host's devices, to show where kept attachments copy to; `nil`: not known.
    public var devices: DeviceTable?

    public init(hostWarnings: [TapStatus.Warning], kernel: KernelView, disconnected: String? = nil, devices: DeviceTable? = nil) {
        self.hostWarnings = hostWarnings
        self.kernel = kernel
        self.disconnected = disconnected
        self.devices = devices
    }

    /// All taps of one domain: those of its live XML, then those that only the next start will know.
    public func taps(of domain: DomainView) -> [TapStatus] {
        guard domain.isRunning else {
            return (domain.persistent?.taps ?? []).map { waiting($0, of: domain, reason: .domainNotRunning, "the domain does not run") }
        }
        if let unreadable = domain.unreadable {
            var status = description(of: .invalid(name: .fallback, required: false, unreadable), in: domain)
            status.set(unreadable)
            return [status]
        }
        let running = domain.verdicts.map { status($0, of: domain) }
        let known = Set(domain.verdicts.map(\.entry.name))
        let coming = (domain.persistent?.taps ?? []).filter { !known.contains($0.name) }.map {
            waiting($0, of: domain, reason: .nextStart, "only in the persistent definition: it takes effect at the domain's next start")
        }
        return running + coming
    }

    private func status(_ verdict: TapVerdict, of domain: DomainView) -> TapStatus {
        var status = description(of: verdict.entry, in: domain)
        status.definition = definition(of: verdict.entry, in: domain)
        switch verdict.outcome {
        case .refused(let failure):
            status.set(failure)
            if TapEvaluation.isUndecided(verdict) {
                let kept = kept(status)
                status.keep(kept.flatMap(\.interfaces))
                // What copies is what the tap asked for before.
                if failure.reason == .configInvalid, status.state == .degraded, let former = kept.first { status.show(former) }
            }
        case .evaluated(let destination, let verdicts):
            status.interfaces = verdicts.map { interface($0, destination: destination) }
            status.combine()
        }
        if status.state == .pending, let disconnected {
            // It waits for something that libvirt would report.
            status.set(Failure(.libvirtDisconnected, "\(status.message ?? ""); libvirt cannot be asked: \(disconnected)"))
        }
        if status.state == .active || status.state == .degraded {
            status.warnings = warnings(for: verdict, of: domain, status: status)
        }
        if let warning = uncalledStart(status, of: domain) { status.warnings.append(warning) }
        return status
    }

    /// A warning when no hook was called at the guest's start. A required tap shows it in any state.
    private func uncalledStart(_ status: TapStatus, of domain: DomainView) -> TapStatus.Warning? {
        guard let time = domain.uncalledStart, !hostWarnings.contains(where: { $0.reason == .hookMissing }) else { return nil }
        if status.required == true {
            return TapStatus.Warning(
                reason: .hookNotCalled,
                message:
                    "the guest was started at \(time) without a call of the hook: nothing would have kept it from starting without this tap, "
                    + "which is required")
        }
        guard status.state == .active || status.state == .degraded else { return nil }
        return TapStatus.Warning(
            reason: .hookNotCalled, message: "the guest was started without a call of the hook: its first packets may not have been copied")
    }

    /// What was attached before for a tap while it is not known what the tap needs.
    private func kept(_ tap: TapStatus) -> [TapStatus] {
        var own = kernel
        own.attachments = kernel.attachments.filter { _, attachment in
            guard let key = attachment.spec?.key else { return false }
            return (key.domain, key.origin, key.tap) == (tap.uuid, tap.origin, tap.name)
        }
        return StatusDocument.pinnedTaps(own, devices: devices)
    }

    private func waiting(_ entry: TapEntry, of domain: DomainView, reason: Reason, _ message: String) -> TapStatus {
        var status = description(of: entry, in: domain)
        status.definition = .configOnly
        switch entry {
        case .invalid(_, _, let failure): status.set(failure)
        case .valid(let tap):
            status.set(tap.enabled ? Failure(reason, message) : .switchedOff)
        }
        return status
    }

    private func description(of entry: TapEntry, in domain: DomainView) -> TapStatus {
        var status = TapStatus(
            domain: domain.name, uuid: domain.uuid, name: entry.name, origin: .domain, definition: nil, destination: nil, direction: nil,
            required: entry.isRequired, enabled: nil, state: .failed, reason: nil, message: nil)
        status.running = domain.isRunning
        guard case .valid(let tap) = entry else { return status }
        status.origin = tap.origin
        status.destination = tap.destination.label
        status.direction = tap.direction
        status.setChoice(filter: tap.filter, snaplen: tap.snaplen, sampling: tap.sampling, rate: tap.rate, once: tap.once)
        status.required = tap.required
        status.enabled = tap.enabled
        return status
    }

    private func definition(of entry: TapEntry, in domain: DomainView) -> TapStatus.Definition {
        guard let persistent = domain.persistent?.taps.first(where: { $0.name == entry.name }) else { return .liveOnly }
        return persistent == entry ? .both : .differs
    }

    private func interface(_ verdict: InterfaceVerdict, destination: DestinationVerdict) -> InterfaceStatus {
        var status = InterfaceStatus(
            alias: verdict.interface.alias, mac: verdict.interface.mac, device: verdict.interface.device, ifindex: nil,
            type: verdict.interface.type, state: .failed)
        guard case .attach(let desired) = verdict.result else {
            if case .refused(let failure) = verdict.result { status.set(failure) }
            return status
        }
        let id = desired.key.id
        status.ifindex = desired.key.ifindex
        // Somebody may have renamed the device since libvirt made it.
        if let name = devices?[desired.key.ifindex]?.name { status.device = name }
        if let observed = kernel.attachments[id] { status.fill(from: observed, counters: kernel.counters[id] ?? [:]) }
        if let failure = kernel.failures[id] {
            status.set(failure)
            // JSON's `detail` is the failure's `explanation`: a subject names the tap, which stands before the detail wherever it is shown.
            status.detail = failure.subject == nil ? nil : failure.explanation
            if let former = kernel.attachments[id]?.former(to: desired) {
                status.state = .degraded
                func adding(_ text: String) -> String { text + (text.hasSuffix(".") ? " " : ". ") + former }
                status.message = adding(failure.message)
                status.detail = status.detail.map(adding)
            }
        } else if kernel.attachments[id]?.satisfies(desired) != true {
            status.set(Failure(.attachFailed, "it is being attached"))
            status.state = .pending
        } else if let failure = destination.failure {
            status.set(failure)
        } else {
            status.state = .active
        }
        return status
    }

    private func warnings(for verdict: TapVerdict, of domain: DomainView, status: TapStatus) -> [TapStatus.Warning] {
        var warnings = hostWarnings
        if let foreign = verdict.desired.lazy.compactMap({ kernel.attachments[$0.key.id]?.foreignAhead }).max(), foreign > 0 {
            warnings.append(
                TapStatus.Warning(
                    reason: .notFirst, message: "\(foreign) program(s) of others run before the tap and may hide packets from it"))
        }
        if let one = verdict.desired.first(where: { kernel.attachments[$0.key.id]?.excludesLimits == true }) {
            // For a macvtap libvirt swaps the directions of its limits.
            let direction = one.interface.isMacvtap ? Direction.inbound : .outbound
            warnings.append(
                TapStatus.Warning(
                    reason: .qdiscConflict,
                    message:
                        "attached by clsact and not by TCX (Linux 6.6, <mechanism name=\"auto\"/>), beside which libvirt cannot set \(direction.rawValue) bandwidth "
                        + "limits: virsh domiftune --\(direction.rawValue) fails (\"Exclusivity flag on\"). A tap with direction=\"\(direction.rawValue)\" does not"
                ))
        }
        if let warning = foreignMarks(verdict) { warnings.append(warning) }
        warnings += deviceRemarks(verdict)
        if status.required == true, let index = warnings.firstIndex(where: { $0.reason == .hookMissing }) {
            warnings[index].message += "; and required=\"yes\" cannot hold without it"
        }
        switch status.definition {
        // A transient domain has no next start.
        case .liveOnly where domain.persistent != nil:
            warnings.append(
                TapStatus.Warning(reason: .definitionDiffers, message: "only in the live definition: gone at the domain's next start"))
        case .differs:
            warnings.append(
                TapStatus.Warning(reason: .definitionDiffers, message: "the persistent definition differs: the next start changes this tap")
            )
        case .liveOnly, .both, .configOnly, nil: break
        }
        return warnings
    }

    /// A warning when frames of the guest carry the mark where no copies can come, so that they were not copied.
    public func foreignMarks(_ verdict: TapVerdict) -> TapStatus.Warning? {
        var packets: [Direction: UInt64] = [:]
        var since: Timestamp?
        var names: [String] = []
        for desired in verdict.desired {
            let growth = kernel.marks.growth(of: desired.key.id).filter { direction, _ in
                !CopyArrival.isPossible(
                    at: desired.key.ifindex, direction, of: desired.destinationKind, destinations: kernel.destinations, devices: devices)
            }
            guard !growth.isEmpty else { continue }
            for (direction, growth) in growth {
                packets[direction, default: 0] += growth.packets
                since = min(since ?? growth.since, growth.since)
            }
            names.append(desired.interface.device)
        }
        guard let since, let mark = verdict.desired.first?.options.mark else { return nil }
        let counts = [(Direction.inbound, "to"), (.outbound, "from")].compactMap { direction, word in
            packets[direction].map { "\($0) frame\($0 == 1 ? "" : "s") \(word) the guest" }
        }
        return TapStatus.Warning(
            reason: .foreignMark,
            message: "\(counts.joined(separator: " and ")) (\(names.joined(separator: ", ")), since \(since)) had the mark of copies, "
                + "\(mark), and were not copied, though no copy of this host comes there. Something else marks them: `virt-tap doctor` "
                + "says whose rules, as far as tools show them; choose another <mark> in this host's configuration")
    }

    /// Which of a tap's devices are not what they were.
    private func deviceRemarks(_ verdict: TapVerdict) -> [TapStatus.Warning] {
        guard case .evaluated(_, let interfaces) = verdict.outcome else { return [] }
        return interfaces.compactMap { one in
            guard case .attach(let desired) = one.result, let device = devices?[desired.key.ifindex] else { return nil }
            return desired.interface.remark(on: device, in: one.interface.bridge)
        }
    }
}

/// A part of the status document that has a state and a reason for it.
protocol Stateful {
    var state: TapState { get set }
    var reason: Reason? { get set }
    var message: String? { get set }
}

extension Stateful {
    mutating func set(_ failure: Failure) {
        state = failure.state
        reason = failure.reason
        message = failure.message
    }
}

extension TapStatus: Stateful {
    /// Shows that what was attached before copies on while it is not known what the tap needs.
    mutating func keep(_ interfaces: [InterfaceStatus]) {
        self.interfaces = interfaces
        // A tap that only waits for something keeps its state.
        guard state == .failed, interfaces.contains(where: { $0.state == .active }) else { return }
        state = .degraded
        message = "it copies on as before: \(message ?? "")"
        for index in interfaces.indices where interfaces[index].state == .active {
            self.interfaces[index].state = .degraded
            self.interfaces[index].reason = reason
            self.interfaces[index].message = message
        }
    }

    /// Shows what is copied instead of what the metadata asks for, where the two differ.
    mutating func show(_ former: TapStatus) {
        let desired = self
        (destination, direction) = (former.destination, former.direction)
        (filter, snaplen, sample, sampleFlows) = (former.filter, former.snaplen, former.sample, former.sampleFlows)
        (rate, burst, once) = (former.rate, former.burst, former.once)
        guard self != desired else { return }
        message = "it copies as before, as shown here, and not as its metadata asks for now: \(desired.message ?? "")"
    }

    /// Puts the states of the interfaces together: active if all are, degraded if some copy, else the most severe.
    mutating func combine() {
        let others = interfaces.filter { $0.state != .active }
        guard let worst = TapState.bySeverity.lazy.compactMap({ state in others.first { $0.state == state } }).first else {
            state = .active
            reason = nil
            message = nil
            return
        }
        let isCopying = interfaces.contains { $0.state == .active || $0.state == .degraded }
        state = isCopying ? .degraded : worst.state
        reason = worst.reason
        let name = worst.device ?? worst.alias ?? worst.mac?.description ?? "an interface"
        message =
            interfaces.count == 1
            ? worst.message
            : "\(others.count) of \(interfaces.count) interfaces not tapped\(worst.state == .degraded ? " as asked for" : ""); \(name): \(worst.detail ?? worst.message ?? "")"
    }
}

extension InterfaceStatus: Stateful {
    /// What the kernel says of the attachment.
    mutating func fill(from observed: ObservedAttachment, counters: [Direction: DirectionCounters]) {
        mechanism = observed.spec?.mechanism
        since = observed.spec?.since
        position = observed.position
        inbound = counters[.inbound]
        outbound = counters[.outbound]
    }
}
