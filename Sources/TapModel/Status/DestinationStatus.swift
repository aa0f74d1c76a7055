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

    /// - Parameter failure: why copies do not arrive; `nil`: it is active.
    public init(name: String, kind: DestinationTarget.Kind, failure: Failure?, sent: Counter = Counter(), errors: Counter = Counter()) {
        self.name = name
        self.kind = kind
        state = failure?.state ?? .active
        reason = failure?.reason
        message = failure?.message
        self.sent = sent
        self.errors = errors
    }

    /// A destination of the configuration as it is now.
    /// - Parameter record: what the kernel has counted for it.
    public init(_ definition: DestinationDefinition, on host: HostState, record: DestinationRecord? = nil) {
        let failure: Failure? =
            switch DestinationEvaluation.evaluate(definition, host: host) {
            case .success(let verdict): verdict.failure
            case .failure(let failure): failure
            }
        self.init(
            name: definition.name.text, kind: definition.target.kind, failure: failure, sent: record?.sent ?? Counter(),
            errors: record?.errors ?? Counter())
    }
}
