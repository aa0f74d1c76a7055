// SPDX-License-Identifier: LGPL-2.1-or-later

/// One tap in the status document.
public struct TapStatus: Hashable, Codable, Sendable {
    /// Where a tap is defined.
    public enum Definition: String, Codable, Sendable {
        case both
        /// Gone at the next start.
        case liveOnly = "live-only"
        /// Back at the next start.
        case configOnly = "config-only"
        /// Different at the next start.
        case differs
    }

    public struct Warning: Hashable, Codable, Sendable {
        public var reason: Reason
        public var message: String

        public init(reason: Reason, message: String) {
            self.reason = reason
            self.message = message
        }
    }

    public var domain: String
    /// Whether the domain runs; `nil` when only libvirt would know.
    @Nullable public var running: Bool?
    public var uuid: DomainUUID
    public var name: TapName
    public var origin: TapOrigin
    /// `nil` when only libvirt would know.
    @Nullable public var definition: Definition?
    /// The destination's name or label; `nil` when the metadata cannot be understood.
    @Nullable public var destination: String?
    @Nullable public var direction: TapDirection?
    @Nullable public var filter: String?
    @Nullable public var snaplen: String?
    /// As the metadata writes it: `1/10`.
    @Nullable public var sample: String?
    @Nullable public var sampleFlows: String?
    @Nullable public var rate: String?
    /// As the metadata write it (`64k`); `nil`: chosen by virt-tap, or there is no rate.
    @Nullable public var burst: String?
    /// `nil` when the metadata cannot be understood.
    @Nullable public var once: Bool?
    @Nullable public var required: Bool?
    @Nullable public var enabled: Bool?
    public var state: TapState
    /// Since when the tap has been in this state, as far as the daemon saw; `nil` with no daemon.
    @Nullable public var stateSince: Timestamp?
    @Nullable public var reason: Reason?
    @Nullable public var message: String?
    public var warnings: [Warning]
    public var interfaces: [InterfaceStatus]

    private enum CodingKeys: String, CodingKey {
        case domain, running, uuid, name, origin, definition, destination, direction, filter, snaplen, sample
        case sampleFlows = "sample_flows"
        case stateSince = "state_since"
        case rate, burst, once, required, enabled, state, reason, message, warnings, interfaces
    }

    public init(
        domain: String, uuid: DomainUUID, name: TapName, origin: TapOrigin, definition: Definition?, destination: String?,
        direction: TapDirection?, filter: String? = nil, snaplen: String? = nil, sample: String? = nil, sampleFlows: String? = nil,
        rate: String? = nil, required: Bool?, enabled: Bool?, state: TapState, reason: Reason?, message: String?, warnings: [Warning] = [],
        interfaces: [InterfaceStatus] = []
    ) {
        self.domain = domain
        self.running = nil
        self.uuid = uuid
        self.name = name
        self.origin = origin
        self.definition = definition
        self.destination = destination
        self.direction = direction
        self.filter = filter
        self.snaplen = snaplen
        self.sample = sample
        self.sampleFlows = sampleFlows
        self.rate = rate
        self.burst = nil
        self.once = nil
        self.required = required
        self.enabled = enabled
        self.state = state
        self.stateSince = nil
        self.reason = reason
        self.message = message
        self.warnings = warnings
        self.interfaces = interfaces
    }
}

extension InterfaceStatus {
    /// Why the interface has its state, for a place where the tap already stands.
    public var explanation: String? { detail ?? message }
}

extension TapStatus {
    /// Why the tap has its state, for a place where the tap already stands.
    public var explanation: String? { (interfaces.count == 1 ? interfaces[0].detail : nil) ?? message }

    /// Sets what the tap copies, as the metadata write it.
    mutating func setChoice(filter: String?, snaplen: Snaplen?, sampling: Sampling?, rate: RateLimit?, once: Bool) {
        self.filter = filter
        self.snaplen = snaplen?.description
        switch sampling {
        case .packets(let count): sample = "1/\(count)"
        case .flows(let count): sampleFlows = "1/\(count)"
        case nil: break
        }
        self.rate = rate?.text
        burst = rate?.burstText
        self.once = once
    }
}

/// One interface of a tap in the status document.
public struct InterfaceStatus: Hashable, Codable, Sendable {
    @Nullable public var alias: String?
    @Nullable public var mac: MACAddress?
    @Nullable public var device: String?
    @Nullable public var ifindex: UInt32?
    @Nullable public var type: InterfaceType?
    /// `nil` while nothing is attached.
    @Nullable public var mechanism: Mechanism?
    /// Position in the hook's chain of programs, 0 is the first; the later one where the directions differ.
    @Nullable public var position: Int?
    /// Since when the counters count.
    @Nullable public var since: Timestamp?
    public var state: TapState
    @Nullable public var reason: Reason?
    @Nullable public var message: String?
    /// `message` without the name of the tap at its start, for a place where that already stands: `Failure.explanation`, not its `detail`;
    /// `nil`: the message does not name the tap.
    @Nullable public var detail: String?
    /// `nil`: this direction is not tapped.
    @Nullable public var inbound: DirectionCounters?
    @Nullable public var outbound: DirectionCounters?

    public init(
        alias: String?, mac: MACAddress?, device: String?, ifindex: UInt32?, type: InterfaceType?, mechanism: Mechanism? = nil,
        position: Int? = nil, since: Timestamp? = nil, state: TapState, reason: Reason? = nil, message: String? = nil,
        inbound: DirectionCounters? = nil, outbound: DirectionCounters? = nil
    ) {
        self.alias = alias
        self.mac = mac
        self.device = device
        self.ifindex = ifindex
        self.type = type
        self.mechanism = mechanism
        self.position = position
        self.since = since
        self.state = state
        self.reason = reason
        self.message = message
        self.detail = nil
        self.inbound = inbound
        self.outbound = outbound
    }
}
