// SPDX-License-Identifier: LGPL-2.1-or-later

/// What is positively known of a domain when its attachments are planned.
public enum DomainEvidence: Hashable, Sendable {
    /// It runs, and this is what its live XML asks for here; of `undecided` taps, whose filter is not compiled, that is not
    /// known yet, and what is attached for them stays.
    case running([DesiredAttachment], undecided: Set<TapKey> = [])
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
        guard domain.isRunning else { return .notRunning }
        // XML that cannot be read says nothing; and without a mechanism nothing can be attached, so what is there is not to
        // be taken for unwanted.
        guard domain.live != nil, case .success = host.mechanism else { return .unknown }
        return .running(domain.verdicts.flatMap(\.desired), undecided: undecided(domain))
    }

    private static func undecided(_ domain: DomainView) -> Set<TapKey> {
        Set(
            domain.verdicts.filter(TapEvaluation.isUndecided).compactMap { verdict -> TapKey? in
                guard case .valid(let tap) = verdict.entry else { return nil }
                return TapKey(domain: domain.uuid, origin: tap.origin, name: tap.name)
            })
    }

    /// Whether a guest may hold an attachment's device open. A tap device that is up has a carrier exactly while somebody
    /// does; of one that is down, and of a macvtap, whose carrier is that of the NIC below, that cannot be told.
    private static func mayBeHeld(_ attachment: ObservedAttachment, _ devices: DeviceTable) -> Bool {
        guard let ifindex = attachment.spec?.key.ifindex, let device = devices[ifindex] else { return false }
        return device.kind != .tap || !device.isUp || device.hasCarrier
    }
}
