// SPDX-License-Identifier: LGPL-2.1-or-later

/// What is to become of one tap of a running domain, and why.
public struct TapVerdict: Hashable, Sendable {
    public enum Outcome: Hashable, Sendable {
        /// Nothing of it is attached.
        case refused(Failure)
        /// Interface by interface; at least one.
        case evaluated(DestinationVerdict, [InterfaceVerdict])
    }

    public var entry: TapEntry
    public var outcome: Outcome

    public init(entry: TapEntry, outcome: Outcome) {
        self.entry = entry
        self.outcome = outcome
    }

    /// Whether its copies go, or would go, to one of these destinations.
    public func copies(toAnyOf labels: Set<String>) -> Bool {
        if case .evaluated(let destination, _) = outcome { labels.contains(destination.label) } else { false }
    }

    /// What ought to be attached for it.
    public var desired: [DesiredAttachment] {
        guard case .evaluated(_, let interfaces) = outcome else { return [] }
        return interfaces.compactMap {
            if case .attach(let desired) = $0.result { desired } else { nil }
        }
    }
}
