// SPDX-License-Identifier: LGPL-2.1-or-later

/// How one attachment copies: the part of a tap that the kernel executes.
///
/// Equal values need the same programs; a different value replaces the programs in place. It is part of the pinned spec: a property that is
/// added must have a value that means "not chosen", to which an older spec without it decodes.
public struct CopyOptions: Hashable, Sendable {
    public var direction: TapDirection
    /// The destination's label. The destination map has its present device.
    public var destination: String
    public var mark: PacketMark
    /// The filter expression, which `DesiredAttachment.filter` has compiled; `nil`: everything is copied.
    public var filter: String?
    /// How much of a frame is copied; `nil`: whole frames.
    public var snaplen: Snaplen?
    /// Which share of the traffic is copied; `nil`: all.
    public var sampling: Sampling?
    /// The limit of the whole tap, which all its attachments share; `nil`: no limit.
    public var rate: RateLimit?
    /// Whether to skip a frame that another guest of this host sent and that a tap with `once` has already copied to the same destination.
    public var once: Bool
    /// Whether offloads are resolved in copies for a device of this host: GSO packets are segmented and checksums filled in, as on a wire.
    /// Set where the destination has an `mtu`.
    public var resolvesOffloads: Bool

    public init(
        direction: TapDirection, destination: String, mark: PacketMark, filter: String? = nil, snaplen: Snaplen? = nil,
        sampling: Sampling? = nil, rate: RateLimit? = nil, once: Bool = false, resolvesOffloads: Bool = false
    ) {
        self.direction = direction
        self.destination = destination
        self.mark = mark
        self.filter = filter
        self.snaplen = snaplen
        self.sampling = sampling
        self.rate = rate
        self.once = once
        self.resolvesOffloads = resolvesOffloads
    }
}

extension CopyOptions {
    /// Whether copies to a destination of this kind go through the relay, on which they are truncated, encapsulated or have offloads resolved.
    public func needsRelay(for kind: DestinationTarget.Kind) -> Bool { snaplen != nil || resolvesOffloads || kind.isTunnel }

    /// What is copied, for people: `both directions to ids, filter "port 53"`.
    var summary: String {
        let parts = [
            "\(direction == .both ? "both directions" : direction.rawValue) to \(destination)", filter.map { "filter \"\($0)\"" },
            snaplen.map { "snaplen \($0)" }, sampling.map(Self.text), rate.map { "rate \($0.text)" }, once ? "once" : nil,
        ]
        return parts.compactMap { $0 }.joined(separator: ", ")
    }

    private static func text(_ sampling: Sampling) -> String {
        switch sampling {
        case .packets(let count): "sample 1/\(count)"
        case .flows(let count): "sample-flows 1/\(count)"
        }
    }

    /// Whether the other options copy the same traffic to the same destination, whatever the mark.
    public func copiesSame(as other: CopyOptions) -> Bool {
        var same = other
        same.mark = mark
        return self == same
    }
}

extension CopyOptions: Codable {
    private enum CodingKeys: String, CodingKey {
        case direction, destination, mark, filter, snaplen, sampling, rate, once
        // The key is that of pins that were made before the property had its name.
        case resolvesOffloads = "finished"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        direction = try container.decode(TapDirection.self, forKey: .direction)
        destination = try container.decode(String.self, forKey: .destination)
        mark = try container.decode(PacketMark.self, forKey: .mark)
        filter = try container.decodeIfPresent(String.self, forKey: .filter)
        snaplen = try container.decodeIfPresent(Snaplen.self, forKey: .snaplen)
        sampling = try container.decodeIfPresent(Sampling.self, forKey: .sampling)
        rate = try container.decodeIfPresent(RateLimit.self, forKey: .rate)
        once = try container.decodeIfPresent(Bool.self, forKey: .once) ?? false
        resolvesOffloads = try container.decodeIfPresent(Bool.self, forKey: .resolvesOffloads) ?? false
    }
}
