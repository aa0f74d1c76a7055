// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// Says before a tap is written what this host would make of it.
struct TapValidation {
    /// What keeps it from being written, unless it is forced.
    var refusals: [String] = []
    /// What else there is to know.
    var warnings: [String] = []

    /// Reasons that writing the tap would not get over by itself, and that the operator most likely did not mean.
    private static let refused: Set<Reason> = [
        .noSuchDestination, .destinationNotAllowed, .inlineDestinationDenied, .tooManyTaps, .noMatchingInterface, .invalidFilter,
    ]

    /// - Parameters:
    ///   - domain: with the taps as they will be.
    ///   - tap: the one that is written.
    init(_ tap: Tap, in domain: DomainDefinition, on host: HostState, side: MetadataSide) {
        // Aliases are given when a domain starts: in its persistent definition nothing is known of them.
        if side == .config, tap.selectors.contains(where: { $0.alias != nil }) { return }
        for verdict in DomainPreview(domain, on: host).verdicts where verdict.entry.name == tap.name {
            switch verdict.outcome {
            case .refused(let failure) where failure.reason == .disabledByMetadata: break
            case .refused(let failure): note(failure, about: tap)
            case .evaluated(let destination, let interfaces):
                if let failure = destination.failure { note(failure, about: tap) }
                for interface in interfaces {
                    if case .refused(let failure) = interface.result { note(failure, about: tap) }
                }
            }
        }
    }

    private mutating func note(_ failure: Failure, about tap: Tap) {
        let text = "tap \(tap.name): \(failure.message.printable) (\(failure.reason.rawValue))"
        if Self.refused.contains(failure.reason) {
            if !refusals.contains(text) { refusals.append(text) }
        } else if !warnings.contains(text) {
            warnings.append(text)
        }
    }
}
