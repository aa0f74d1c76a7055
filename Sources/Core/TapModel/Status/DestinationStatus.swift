// SPDX-License-Identifier: LGPL-2.1-or-later

/// One destination in the status document.
public struct DestinationStatus: Hashable, Codable, Sendable {
    public var name: String
    public var kind: DestinationTarget.Kind
    /// The device that takes the copies at the moment, of a monitor port the one at which sensors listen; `nil`: none, or not known.
    @Nullable public var device: String?
    public var state: TapState
    @Nullable public var reason: Reason?
    @Nullable public var message: String?
    /// `message` without the name of the destination at its start, for a place where that already stands: `Failure.explanation`, not its
    /// `detail`; `nil`: the message does not name the destination.
    @Nullable public var detail: String?
    /// Copies that left for the destination.
    public var sent: Counter
    /// Copies that its device did not take, or that could not be made as the tap asks for (truncated, for example).
    public var errors: Counter
    /// The time of the latest error; `nil`: there was none, or the daemon does not say it.
    @Nullable public var lastError: Timestamp?
    /// Frames that were not copied because its `rate` was used up.
    public var rateLimited: Counter
    /// Copies to another machine that were too large for the path and were sent in several packets.
    public var fragmented: Counter
    /// Copies to another machine that were too large for the path and were truncated.
    public var truncated: Counter
    /// Copies to another machine that were too large for the path and were dropped.
    public var oversized: Counter
    /// What to know about the destination although copies arrive.
    public var warnings: [TapStatus.Warning]

    private enum CodingKeys: String, CodingKey {
        case name, kind, device, state, reason, message, detail, sent, errors, fragmented, truncated, oversized, warnings
        case rateLimited = "rate_limited"
        case lastError = "last_error"
    }

    /// - Parameters:
    ///   - failure: why copies do not arrive; `nil`: it is active.
    ///   - record: what the kernel has counted for it.
    public init(
        name: String, kind: DestinationTarget.Kind, device: String? = nil, failure: Failure?, record: DestinationRecord? = nil,
        warnings: [TapStatus.Warning] = []
    ) {
        self.name = name
        self.kind = kind
        self.device = device
        state = failure?.state ?? .active
        reason = failure?.reason
        message = failure?.message
        detail = failure.flatMap { $0.subject == nil ? nil : $0.explanation }
        sent = record?.sent ?? Counter()
        errors = record?.errors ?? Counter()
        lastError = record?.lastError
        rateLimited = record?.rateLimited ?? Counter()
        fragmented = record?.fragmented ?? Counter()
        truncated = record?.truncated ?? Counter()
        oversized = record?.oversized ?? Counter()
        self.warnings = warnings
    }

    /// Accepts a document of an older daemon, which lacks some keys.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        name = try container.decode(String.self, forKey: .name)
        kind = try container.decode(DestinationTarget.Kind.self, forKey: .kind)
        _device = try container.decode(Nullable<String>.self, forKey: .device)
        state = try container.decode(TapState.self, forKey: .state)
        _reason = try container.decode(Nullable<Reason>.self, forKey: .reason)
        _message = try container.decode(Nullable<String>.self, forKey: .message)
        _detail = try container.decode(Nullable<String>.self, forKey: .detail)
        sent = try container.decode(Counter.self, forKey: .sent)
        errors = try container.decode(Counter.self, forKey: .errors)
        _lastError = try container.decode(Nullable<Timestamp>.self, forKey: .lastError)
        func later(_ key: CodingKeys) throws -> Counter { try container.decodeIfPresent(Counter.self, forKey: key) ?? Counter() }
        rateLimited = try later(.rateLimited)
        fragmented = try later(.fragmented)
        truncated = try later(.truncated)
        oversized = try later(.oversized)
        warnings = try container.decodeIfPresent([TapStatus.Warning].self, forKey: .warnings) ?? []
    }

    /// A destination of the configuration as it is now.
    /// - Parameters:
    ///   - record: what the kernel has counted for it.
    ///   - sources: what is tapped to it.
    public init(
        _ definition: DestinationDefinition, on host: HostState, record: DestinationRecord? = nil, sources: [CopySource] = []
    ) {
        switch DestinationEvaluation.evaluate(definition, host: host) {
        case .success(let verdict):
            self.init(verdict, on: host, record: record, sources: sources, limit: definition.mtu)
        case .failure(let failure):
            self.init(name: definition.name.text, kind: definition.target.kind, failure: failure, record: record)
        }
    }

    /// A destination as it was found to be, one of a domain's metadata too.
    /// - Parameter limit: the `mtu` that the configuration gives it.
    public init(
        _ verdict: DestinationVerdict, on host: HostState, record: DestinationRecord? = nil, sources: [CopySource] = [],
        limit: UInt32? = nil
    ) {
        let device = host.devices[verdict.route.ifindex]
        var warning = verdict.route.tunnel.flatMap { Self.oversize(record, $0, limit) }
        if verdict.kind == .interface || verdict.kind == .monitor, let device {
            // What one end of a pair sends, the other has to take: the smaller MTU counts.
            let ends = [device, device.peer.flatMap { host.devices[$0] }].compactMap { $0 }
            warning = ends.min { $0.mtu < $1.mtu }.flatMap { Self.narrow($0, sources, limit) }
        }
        self.init(
            name: verdict.label, kind: verdict.kind, device: verdict.listener ?? device?.name, failure: verdict.failure, record: record,
            warnings: [verdict.remark, warning].compactMap { $0 })
    }

    /// Why copies do not arrive, for a place where the destination already stands.
    public var explanation: String? { detail ?? message }

    /// The warnings about where copies go, which hold before any copy was made.
    public var routeWarnings: [TapStatus.Warning] { warnings.filter { $0.reason == .defaultRoute || $0.reason == .hostListens } }

    /// A warning when a device of this host takes smaller packets than taps copy: larger copies are lost there, and a veth does not count them.
    private static func narrow(_ device: HostDevice, _ sources: [CopySource], _ limit: UInt32?) -> TapStatus.Warning? {
        let why: String
        let most: UInt32
        if let limit, limit > device.mtu {
            (why, most) = ("copies are made to fit mtu=\"\(limit)\"", limit)
        } else if let source = sources.max(by: { $0.largest < $1.largest }), source.largest > device.mtu {
            most = source.largest
            why =
                source.truncation.map { "copies from \(source.device) are truncated to \($0) bytes" }
                ?? "\(source.device), which is tapped to it, has an MTU of \(source.largest)"
        } else {
            return nil
        }
        return TapStatus.Warning(
            reason: .mtuTooSmall,
            message: "\(device.name) takes packets of \(device.mtu) bytes, and \(why): larger copies may be lost without being counted; "
                + "`ip link set \(device.name) mtu \(most)`\(device.isPaired ? ", and its other end, too" : "")")
    }

    /// A warning as soon as one copy did not fit the path.
    private static func oversize(_ record: DestinationRecord?, _ tunnel: TunnelHeader, _ limit: UInt32?) -> TapStatus.Warning? {
        guard let record else { return nil }
        let counts = [(record.fragmented, "sent in fragments"), (record.truncated, "truncated"), (record.oversized, "dropped")]
        let texts = counts.filter { $0.0.packets > 0 }.map { "\($0.0.packets) \($0.1)" }
        guard !texts.isEmpty else { return nil }
        let needed = tunnel.mtu - tunnel.room + largestFrame
        let isLimited = tunnel.mtu == limit
        return TapStatus.Warning(
            reason: .mtuTooSmall,
            message: "\(isLimited ? "by its mtu= " : "")the path takes packets of \(tunnel.mtu) bytes, so frames of over \(tunnel.room) "
                + "bytes do not fit: \(texts.joined(separator: ", ")); "
                + (isLimited ? "give mtu=\"\(needed)\" where the path takes that" : "raise the path's MTU to \(needed)")
                + ", or see oversize=")
    }

    /// A full Ethernet frame with a tag.
    private static let largestFrame: UInt32 = 1_518
}

/// A device that is tapped to a destination, and how large the copies of its frames may be.
public struct CopySource: Hashable, Sendable {
    public var device: String
    /// Bytes of an IP packet in the largest copy, as an MTU counts them, without GSO packets.
    public var largest: UInt32
    /// The snap length in bytes where it limits the largest copy; `nil`: the device's MTU does.
    public var truncation: UInt16?

    /// - Parameter snaplen: the tap's snap length; `nil`: whole frames.
    /// - Returns: `nil` for copies of headers alone, which fit everywhere.
    public init?(_ device: HostDevice, snaplen: Snaplen?) {
        self.device = device.name
        largest = device.mtu
        switch snaplen {
        case nil: break
        case .headers: return nil
        case .bytes(let count):
            // An Ethernet header is no part of an MTU.
            guard UInt32(count) < device.mtu + 14 else { break }
            (largest, truncation) = (UInt32(count) - 14, count)
        }
    }
}
