// SPDX-License-Identifier: LGPL-2.1-or-later

/// One destination in the status document.
public struct DestinationStatus: Hashable, Codable, Sendable {
    public var name: String
    public var kind: DestinationTarget.Kind
    public var state: TapState
    @Nullable public var reason: Reason?
    @Nullable public var message: String?
    /// Copies that left for it.
    public var sent: Counter
    /// Copies that its device did not take.
    public var errors: Counter

    public init(
        name: String, kind: DestinationTarget.Kind, state: TapState, reason: Reason?, message: String?, sent: Counter, errors: Counter
    ) {
        self.name = name
        self.kind = kind
        self.state = state
        self.reason = reason
        self.message = message
        self.sent = sent
        self.errors = errors
    }
}
