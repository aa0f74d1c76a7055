// SPDX-License-Identifier: LGPL-2.1-or-later

/// One destination in the status document.
public struct DestinationStatus: Hashable, Codable, Sendable {
    public var name: String
    public var kind: DestinationTarget.Kind
    /// The device that takes the copies at the moment; `nil`: none, or not known.
    @Nullable public var device: String?
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
        case name, kind, device, state, reason, message, sent, errors
        case rateLimited = "rate_limited"
    }

    /// - Parameter failure: why copies do not arrive; `nil`: it is active.
    public init(
        name: String, kind: DestinationTarget.Kind, device: String? = nil, failure: Failure?, sent: Counter = Counter(),
        errors: Counter = Counter(),
        rateLimited: Counter = Counter()
    ) {
        self.name = name
        self.kind = kind
        self.device = device
        state = failure?.state ?? .active
        reason = failure?.reason
        message = failure?.message
        self.sent = sent
        self.errors = errors
        self.rateLimited = rateLimited
    }

    /// Accepts a document of a daemon that did not name the device, or count `rate_limited`, yet.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        name = try container.decode(String.self, forKey: .name)
        kind = try container.decode(DestinationTarget.Kind.self, forKey: .kind)
        _device = try container.decode(Nullable<String>.self, forKey: .device)
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
        let (device, failure): (HostDevice?, Failure?) =
            switch DestinationEvaluation.evaluate(definition, host: host) {
            case .success(let verdict): (verdict.ifindex.flatMap { host.devices[$0] }, verdict.failure)
            case .failure(let failure): (nil, failure)
            }
        self.init(
            name: definition.name.text, kind: definition.target.kind, device: device?.name, failure: failure,
            sent: record?.sent ?? Counter(),
            errors: record?.errors ?? Counter(), rateLimited: record?.rateLimited ?? Counter())
    }
}
