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
    /// Copies that its device did not take, or that could not be made what was asked for (cut) on the way.
    public var errors: Counter
    /// Frames that were not copied because its `rate` was used up.
    public var rateLimited: Counter

    private enum CodingKeys: String, CodingKey {
        case name, kind, state, reason, message, sent, errors
        case rateLimited = "rate_limited"
    }

    /// - Parameter failure: why copies do not arrive; `nil`: it is active.
    public init(
        name: String, kind: DestinationTarget.Kind, failure: Failure?, sent: Counter = Counter(), errors: Counter = Counter(),
        rateLimited: Counter = Counter()
    ) {
        self.name = name
        self.kind = kind
        state = failure?.state ?? .active
        reason = failure?.reason
        message = failure?.message
        self.sent = sent
        self.errors = errors
        self.rateLimited = rateLimited
    }

    /// Accepts a document of a daemon that did not count `rate_limited` yet.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        name = try container.decode(String.self, forKey: .name)
        kind = try container.decode(DestinationTarget.Kind.self, forKey: .kind)
        state = try container.decode(TapState.self, forKey: .state)
        _reason = try container.decode(Nullable<Reason>.self, forKey: .reason)
        _message = try container.decode(Nullable<String>.self, forKey: .message)
        sent = try container.decode(Counter.self, forKey: .sent)
        errors = try container.decode(Counter.self, forKey: .errors)
        rateLimited = try container.decodeIfPresent(Counter.self, forKey: .rateLimited) ?? Counter()
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
            errors: record?.errors ?? Counter(), rateLimited: record?.rateLimited ?? Counter())
    }
}
