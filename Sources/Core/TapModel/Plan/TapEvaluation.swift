// SPDX-License-Identifier: LGPL-2.1-or-later

/// The decision about one tap of a running domain, and why.
public struct TapVerdict: Hashable, Sendable {
    public enum Outcome: Hashable, Sendable {
        /// Nothing is attached for the tap.
        case refused(Failure)
        /// The destination, and one verdict for each selected interface, at least one.
        case evaluated(DestinationVerdict, [InterfaceVerdict])
    }

    public var entry: TapEntry
    public var outcome: Outcome

    public init(entry: TapEntry, outcome: Outcome) {
        self.entry = entry
        self.outcome = outcome
    }

    /// Whether the tap's copies go, or would go, to one of these destinations.
    public func copies(toAnyOf labels: Set<String>) -> Bool {
        if case .evaluated(let destination, _) = outcome { labels.contains(destination.label) } else { false }
    }

    /// The desired attachments of the tap.
    public var desired: [DesiredAttachment] {
        guard case .evaluated(_, let interfaces) = outcome else { return [] }
        return interfaces.compactMap {
            if case .attach(let desired) = $0.result { desired } else { nil }
        }
    }
}

/// The decision about one interface that a tap selects.
public struct InterfaceVerdict: Hashable, Sendable {
    public enum Outcome: Hashable, Sendable {
        case attach(DesiredAttachment)
        case refused(Failure)
    }

    public var interface: DomainInterface
    public var result: Outcome

    public init(interface: DomainInterface, result: Outcome) {
        self.interface = interface
        self.result = result
    }
}

/// Decides for each tap of a domain what is desired on this host: a pure function of the domain's live XML and the host.
public enum TapEvaluation {
    /// One verdict for each entry of the metadata, in its order.
    public static func evaluate(_ domain: DomainDefinition, on host: HostState) -> [TapVerdict] {
        domain.taps.enumerated().map { index, entry in
            switch entry {
            case .invalid(_, _, let failure):
                return TapVerdict(entry: entry, outcome: .refused(failure))
            case .valid(let tap):
                if let failure = refusal(of: tap, at: index, host: host) { return TapVerdict(entry: entry, outcome: .refused(failure)) }
                return TapVerdict(entry: entry, outcome: outcome(of: tap, in: domain, host: host))
            }
        }
    }

    /// Why a tap is refused independent of its destination and interfaces; `nil`: it is not.
    private static func refusal(of tap: Tap, at index: Int, host: HostState) -> Failure? {
        let policy = host.configuration.policy
        if !tap.enabled { return .switchedOff }
        if !policy.tapsAllowed {
            return Failure(.disabledByHost, "this host's configuration stops all copying: <policy taps=\"no\"/>")
        }
        if host.isPaused {
            return Failure(
                .disabledByHost, "`virt-tap purge --now` stopped all copying", advice: "`systemctl reload virt-tapd` (SIGHUP) resumes it")
        }
        // A tap that its domain has switched off is off in any case; all others need the host's configuration.
        if let unconfigured = host.unconfigured { return unconfigured }
        if index >= Int(policy.maximumTaps) {
            return Failure(
                .tooManyTaps,
                "this is tap number \(index + 1) of the domain, and this host allows \(policy.maximumTaps) (max-taps); the first ones stand"
            )
        }
        return nil
    }

    private static func outcome(of tap: Tap, in domain: DomainDefinition, host: HostState) -> TapVerdict.Outcome {
        let destination: DestinationVerdict
        switch DestinationEvaluation.resolve(tap.destination, for: domain, host: host) {
        case .failure(let failure): return .refused(failure)
        case .success(let verdict): destination = verdict
        }
        let filter: CompiledFilter?
        switch compiled(tap.filter, host: host) {
        case .failure(let failure): return .refused(failure)
        case .success(let compiled): filter = compiled
        }
        let selected = domain.interfaces.filter(tap.selects)
        guard !selected.isEmpty else {
            return .refused(Failure(.noMatchingInterface, noMatch(tap, in: domain)))
        }
        return .evaluated(
            destination,
            selected.map { InterfaceVerdict(interface: $0, result: verdict($0, of: tap, filter, to: destination, in: domain, host: host)) })
    }

    /// Whether it is not known yet what a tap needs, since its filter is not compiled, this host could not compile it, or there is no
    /// configuration. What was attached for the tap stays as it is.
    public static func isUndecided(_ verdict: TapVerdict) -> Bool {
        if case .refused(let failure) = verdict.outcome, failure.reason == .configInvalid { return true }
        return awaitsFilter(verdict)
    }

    /// Whether a tap is undecided because of its filter.
    public static func awaitsFilter(_ verdict: TapVerdict) -> Bool {
        guard case .valid(let tap) = verdict.entry, tap.filter != nil, case .refused(let failure) = verdict.outcome else { return false }
        return failure.reason.isOfFilterExpression == false
    }

    private static func compiled(_ expression: String?, host: HostState) -> Result<CompiledFilter?, Failure> {
        guard let expression else { return .success(nil) }
        return host.filters[expression]?.map { $0 }
            ?? .failure(
                Failure(.filterPending, "its filter is being compiled", advice: "copying begins, or goes on as before, when that is done"))
    }

    private static func noMatch(_ tap: Tap, in domain: DomainDefinition) -> String {
        if domain.interfaces.isEmpty { return "the domain has no network interface" }
        // Names that libvirt generates change at the next start, so they are no help.
        let isByDevice = tap.selectors.contains { $0.device != nil }
        let present = domain.interfaces.prefix(8).map { interface in
            // Names with a space stand for a device that does not exist yet.
            let isWritten = isByDevice && interface.device.map { !InterfaceSelector.isGenerated($0) && !$0.contains(" ") } == true
            let device = isWritten ? interface.device.map { "device \($0)" } : nil
            return [interface.alias, interface.mac?.description, device].compactMap { $0 }.joined(separator: " ")
        }
        let device = tap.selectors.compactMap(\.alias).first { alias in domain.interfaces.contains { $0.device == alias } }
        return "no interface of the domain matches the tap's <interface>; it has \(present.joined(separator: ", "))"
            + (domain.interfaces.count > 8 ? " and \(domain.interfaces.count - 8) more" : "")
            + (device.map { ". \($0) is a device: \(advice($0))" } ?? "")
            + (isByDevice ? ". device is the name in <target dev>, which has to be written into the domain's definition" : "")
    }

    private static func advice(_ device: String) -> String {
        InterfaceSelector.isGenerated(device)
            ? "its name changes at every start, so choose by alias or MAC address" : "choose it by device=\"\(device)\""
    }

    private static func verdict(
        _ interface: DomainInterface, of tap: Tap, _ filter: CompiledFilter?, to destination: DestinationVerdict,
        in domain: DomainDefinition, host: HostState
    ) -> InterfaceVerdict.Outcome {
        let owned: DeviceOwnership.Owned
        switch DeviceOwnership.device(of: interface, in: domain.uuid, devices: host.devices, claims: host.claims, directory: host.directory)
        {
        case .failure(let failure): return .refused(failure)
        case .success(let found): owned = found
        }
        let device = owned.device
        guard destination.device != .known(device.index) else {
            return .refused(
                Failure(.destinationLoop, "\(device.name) is this tap's own destination (\(destination.label)): copies would be copied"))
        }
        let mechanism: Mechanism
        switch host.mechanism {
        case .failure(let failure): return .refused(failure)
        case .success(let chosen): mechanism = chosen
        }
        let options = options(of: tap, on: host)
        if let failure = host.refusedOptions[options] { return .refused(failure) }
        return .attach(
            DesiredAttachment(
                key: AttachmentKey(domain: domain.uuid, origin: tap.origin, tap: tap.name, ifindex: device.index),
                domainName: domain.name,
                interface: AttachedInterface(
                    alias: interface.alias, mac: owned.mac, type: interface.type, device: owned.name, isMacvtap: device.kind == .macvtap,
                    traits: owned.traits),
                destinationKind: destination.kind,
                options: options, filter: filter, mechanism: mechanism))
    }

    private static func resolvesOffloads(_ reference: DestinationReference, on host: HostState) -> Bool {
        guard case .named(let name) = reference, case .success(let definition) = host.configuration.destination(named: name) else {
            return false
        }
        return definition.resolvingMTU != nil
    }

    /// The options of a tap's attachments.
    static func options(of tap: Tap, on host: HostState) -> CopyOptions {
        CopyOptions(
            direction: tap.direction, destination: tap.destination.label, mark: host.configuration.mark, filter: tap.filter,
            snaplen: tap.snaplen, sampling: tap.sampling, rate: tap.rate, once: tap.once,
            resolvesOffloads: resolvesOffloads(tap.destination, on: host))
    }
}

/// Decides whether a domain may start here: every tap with `required="yes"` has to be in place.
///
/// In place means: attached in every direction that the tap has on every interface that it selects, with a destination that is defined and
/// allowed. A destination that is only down, unreachable, elsewhere or stopped by the host's `<limit>` is no obstacle: it comes back
/// without the guest, and another guest's flood must not keep a guest from starting.
public enum RequiredTaps {
    /// Why the domain must not start: one line for each required tap that is not in place; empty: it may start.
    public static func missing(_ verdicts: [TapVerdict], kernel: KernelView) -> [String] {
        verdicts.filter(\.entry.isRequired).compactMap { verdict in
            obstacle(verdict, kernel).map { "required tap \(verdict.entry.name) is not in place: \($0)" }
        }
    }

    /// The same lines when no daemon could have put the taps in place.
    public static func unplaced(_ taps: [TapEntry], because why: String) -> [String] {
        taps.filter(\.isRequired).map { "required tap \($0.name) is not in place: \(why)" }
    }

    private static func obstacle(_ verdict: TapVerdict, _ kernel: KernelView) -> Failure? {
        switch verdict.outcome {
        case .refused(let failure):
            return failure
        case .evaluated(let destination, let interfaces):
            if let failure = destination.failure, !destination.isOnlyDown { return failure }
            return interfaces.lazy.compactMap { obstacle($0, kernel) }.first
        }
    }

    private static func obstacle(_ verdict: InterfaceVerdict, _ kernel: KernelView) -> Failure? {
        switch verdict.result {
        case .refused(let failure):
            return failure
        case .attach(let desired):
            if kernel.attachments[desired.key.id]?.satisfies(desired) == true { return nil }
            return kernel.failures[desired.key.id] ?? Failure(.attachFailed, "\(desired.interface.device) is not tapped")
        }
    }
}
