// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// Says before a tap is written what this host would make of it.
struct TapValidation {
    /// What keeps it from being written, unless it is forced.
    var refusals: [String] = []
    /// What else there is to know.
    var warnings: [String] = []
    /// Of the warnings those that a daemon tells as well of a tap that is carried out, with their reason.
    var passing: [String: Reason] = [:]

    /// Reasons that an interface may have as long as another one of the tap's is copied.
    private static let partial: Set<Reason> = [.interfaceTypeUnsupported, .deviceNotOwned]
    /// - Parameters:
    ///   - domain: with the taps as they will be.
    ///   - tap: the one that is written.
    init(_ tap: Tap, in domain: DomainDefinition, on host: HostState, side: MetadataSide) {
        // Aliases are given when a domain starts: in its persistent definition they select nothing that could be judged, but for one
        // that will never be there.
        let knowsInterfaces = side == .live || tap.selectors.allSatisfy { $0.alias.map { !InterfaceSelector.mayBeAlias($0) } ?? true }
        var domain = domain
        if !knowsInterfaces {
            var unselective = tap
            unselective.selectors = []
            domain.taps = domain.taps.map { $0.name == tap.name ? .valid(unselective) : $0 }
        }
        for verdict in DomainPreview(domain, on: host).verdicts where verdict.entry.name == tap.name {
            switch verdict.outcome {
            case .refused(let failure) where failure.reason == .disabledByMetadata: break
            case .refused(let failure): note(failure, about: tap)
            case .evaluated(let destination, let interfaces):
                if let failure = destination.failure {
                    note(failure, about: tap, isPassing: destination.isOnlyDown)
                } else if let remark = destination.remark {
                    warnings.append("destination \(destination.label.printable): \(remark.message.printable) (\(remark.reason.rawValue))")
                }
                let failures = interfaces.compactMap {
                    if case .refused(let failure) = $0.result { failure } else { nil }
                }
                let isPartial = failures.count < interfaces.count
                for failure in failures where knowsInterfaces {
                    note(failure, about: tap, isPassing: isPartial && Self.partial.contains(failure.reason))
                }
            }
        }
    }

    /// Where nothing is known of the host but that it has libpcap, too.
    init(_ tap: Tap, filter: Result<CompiledFilter, Failure>) {
        if case .failure(let failure) = filter { note(failure, about: tap) }
    }

    /// The same of a change that asks for less than the tap before it: what keeps that one from being carried out is no reason against it.
    func asWarnings() -> TapValidation {
        var validation = self
        (validation.refusals, validation.warnings) = ([], refusals + warnings)
        return validation
    }

    private mutating func note(_ failure: Failure, about tap: Tap, isPassing: Bool = false) {
        let text = "tap \(tap.name): \(failure.message.printable) (\(failure.reason.rawValue))"
        // All others keep it from being written: it would copy nothing, and may stand in the place of one that does.
        if isPassing || failure.reason.isPassing {
            if !warnings.contains(text) { warnings.append(text) }
            passing[text] = failure.reason
        } else if !refusals.contains(text) {
            refusals.append(text)
        }
    }
}
