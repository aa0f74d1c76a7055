// SPDX-License-Identifier: LGPL-2.1-or-later

/// What the daemon knows of one domain, for status.
public struct DomainView: Sendable {
    public var uuid: DomainUUID
    public var name: String
    public var isRunning: Bool
    /// What runs; `nil` when the domain does not run or its XML cannot be read.
    public var live: DomainDefinition?
    /// What the next start will use; `nil` for a transient domain.
    public var persistent: DomainDefinition?
    /// Set when the XML cannot be read at all.
    public var unreadable: Failure?
    /// One for each of `live.taps`.
    public var verdicts: [TapVerdict]
    /// When it was started without a call of the hook, which would have kept it from running without its required taps; `nil`: that is not
    /// known of it.
    public var uncalledStart: Timestamp?

    public init(
        uuid: DomainUUID, name: String, isRunning: Bool, live: DomainDefinition? = nil, persistent: DomainDefinition? = nil,
        unreadable: Failure? = nil, verdicts: [TapVerdict] = []
    ) {
        self.uuid = uuid
        self.name = name
        self.isRunning = isRunning
        self.live = live
        self.persistent = persistent
        self.unreadable = unreadable
        self.verdicts = verdicts
    }
}

/// What is positively known of a domain when its attachments are planned.
public enum DomainEvidence: Hashable, Sendable {
    /// It runs, and this is what its live XML asks for here. Of taps whose filter is not compiled that is not known yet, nor of any on a
    /// host without a configuration: what is `kept` stays as it is.
    case running([DesiredAttachment], kept: Set<AttachmentID> = [])
    /// libvirt said that it does not run, or that there is no such domain.
    case notRunning
    /// Nothing: an error, a time-out, no connection. Never a reason to end copying.
    case unknown

    /// - Parameters:
    ///   - domain: what was last heard of it; `nil`: nothing yet, or that there is none.
    ///   - isAbsent: whether libvirt said that there is no such domain.
    ///   - observed: its attachments.
    public static func of(_ domain: DomainView?, isAbsent: Bool, observed: [ObservedAttachment], host: HostState) -> DomainEvidence {
        // The host's own word needs nobody else's.
        if host.isPaused || !host.configuration.policy.tapsAllowed { return .running([]) }
        guard let domain else {
            guard isAbsent else { return .unknown }
            // It may be another libvirt, or one that lost its state: what a guest may still hold open is not ended on that.
            return observed.contains { mayBeHeld($0, host.devices) } ? .unknown : .notRunning
        }
        guard domain.isRunning else {
            // Without a configuration it is not known which libvirt to ask: this one's word is not enough for what a guest still holds.
            guard host.unconfigured != nil else { return .notRunning }
            return observed.contains { mayBeHeld($0, host.devices) } ? .unknown : .notRunning
        }
        // XML that cannot be read says nothing; and without a mechanism nothing can be attached, so what is there does not
        // count as unwanted.
        guard domain.live != nil, case .success = host.mechanism else { return .unknown }
        let undecided = domain.verdicts.filter(TapEvaluation.isUndecided)
        return .running(
            domain.verdicts.flatMap(\.desired),
            kept: Set(
                // An attachment of a later version is kept: only that version knows which tap it is for.
                observed.filter { one in one.isOfLaterVersion || undecided.contains { isKept(one, for: $0, of: domain, host) } }.map(\.id)))
    }

    /// Whether an attachment of a tap that is not decided stays: for as long as its filter is being compiled, or the host has no
    /// configuration; and when this host cannot compile it, which may last, only if it does just what the tap asks for, or it may copy
    /// what is not asked for any more.
    private static func isKept(_ attachment: ObservedAttachment, for verdict: TapVerdict, of domain: DomainView, _ host: HostState) -> Bool
    {
        guard case .valid(let tap) = verdict.entry, let spec = attachment.spec,
            (spec.key.domain, spec.key.origin, spec.key.tap) == (domain.uuid, tap.origin, tap.name)
        else { return false }
        // The guest's own XML without the interface is evidence, whatever is not known of the tap: its device may be another's by now.
        // A device that was given another name is the interface's as before.
        let names = [spec.interface.device, host.devices[spec.key.ifindex]?.name]
        let interfaces = domain.live?.interfaces.filter {
            $0.mac == spec.interface.mac && ($0.device == nil || names.contains($0.device))
        }
        guard let interfaces, !interfaces.isEmpty else { return false }
        if case .refused(let failure) = verdict.outcome, failure.reason == .filterPending || failure.reason == .configInvalid {
            return true
        }
        return spec.options.copiesSame(as: TapEvaluation.options(of: tap, on: host)) && interfaces.contains { tap.selects($0) }
    }

    /// Whether a guest may hold an attachment's device open; always true of a macvtap, since the kernel does not say.
    private static func mayBeHeld(_ attachment: ObservedAttachment, _ devices: DeviceTable) -> Bool {
        (attachment.spec != nil || attachment.isOfLaterVersion) && devices[attachment.id.ifindex]?.isHeld == true
    }
}
