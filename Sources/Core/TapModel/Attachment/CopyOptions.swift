// SPDX-License-Identifier: LGPL-2.1-or-later

/// What the programs of one attachment do: the part of a tap that the kernel carries out.
///
/// Two equal values need the same programs; a different one replaces them in place. It is part of the pinned spec: what is
/// added later must have a value that means "not chosen", which an older spec without it decodes as.
public struct CopyOptions: Hashable, Sendable {
    public var direction: TapDirection
    /// The destination's label; the destination map says which device that is at the moment.
    public var destination: String
    public var mark: PacketMark
    /// The expression; what it compiles to is `DesiredAttachment.filter`. `nil`: everything.
    public var filter: String?
    /// `nil`: whole frames.
    public var snaplen: Snaplen?
    /// `nil`: all.
    public var sampling: Sampling?
    /// Of the tap as a whole: all its attachments share it. `nil`: no limit.
    public var rate: RateLimit?
    /// Whether a frame that a tap with `once` has copied to the same destination on its way from another guest of this host is
    /// passed over.
    public var once: Bool
    /// Whether copies for a device of this host are made what a wire would have carried, with checksums filled in and GSO packets as
    /// segments: where the destination says what fits there (`mtu`).
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
    /// Whether copies that go to such a destination go by the devices of virt-tap's own, on which they are cut, wrapped and finished.
    public func needsRelay(for kind: DestinationTarget.Kind) -> Bool { snaplen != nil || resolvesOffloads || kind.isTunnel }

    /// What is copied, for people: `both directions to ids, filter "port 53"`.
    var choice: String {
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

    /// Whether the same of a guest's traffic is copied to the same place, however it is marked.
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
