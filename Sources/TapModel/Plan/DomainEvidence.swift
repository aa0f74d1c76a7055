// SPDX-License-Identifier: LGPL-2.1-or-later

/// What is positively known of a domain when its attachments are planned.
public enum DomainEvidence: Hashable, Sendable {
    /// It runs, and this is what its live XML asks for here.
    case running([DesiredAttachment])
    /// libvirt said that it does not run, or that there is no such domain.
    case notRunning
    /// Nothing: an error, a time-out, no connection. Never a reason to end copying.
    case unknown

    /// - Parameters:
    ///   - domain: what was last heard of it; `nil`: libvirt knows no such domain, or has not been asked yet.
    ///   - observed: its attachments.
    ///   - isConnected: whether libvirt can be asked.
    public static func of(_ domain: DomainView?, observed: [ObservedAttachment], host: HostState, isConnected: Bool) -> DomainEvidence {
        // The host's own word needs nobody else's.
        if host.isPaused || !host.configuration.policy.tapsAllowed { return .running([]) }
        guard let domain else {
            guard isConnected else { return .unknown }
            // Another libvirt, or one that lost its state: what a guest still holds open is not ended on that.
            let isHeld = observed.contains { $0.spec.flatMap { host.devices[$0.key.ifindex] }?.hasCarrier == true }
            return isHeld ? .unknown : .notRunning
        }
        guard domain.isRunning else { return .notRunning }
        // XML that cannot be read says nothing; and without a mechanism nothing can be attached, so what is there is not to
        // be taken for unwanted.
        guard domain.live != nil, case .success = host.mechanism else { return .unknown }
        return .running(domain.verdicts.flatMap(\.desired))
    }
}
