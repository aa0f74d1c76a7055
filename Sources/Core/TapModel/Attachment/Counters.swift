// SPDX-License-Identifier: LGPL-2.1-or-later

/// Frames counted, as a wire would have carried them: a GSO packet counts as its segments.
public struct Counter: Hashable, Codable, Sendable {
    public var packets: UInt64
    /// Bytes of the original frames, with their Ethernet headers and VLAN tags and without the frame check sequence.
    public var bytes: UInt64

    public init(packets: UInt64 = 0, bytes: UInt64 = 0) {
        self.packets = packets
        self.bytes = bytes
    }

    public static func + (left: Self, right: Self) -> Self {
        Counter(packets: left.packets &+ right.packets, bytes: left.bytes &+ right.bytes)
    }

    public static func += (left: inout Self, right: Self) { left = left + right }
}

/// What became of every frame that one attachment saw in one direction.
public struct DirectionCounters: Hashable, Sendable {
    public var copied: Counter
    /// The tap's filter did not match.
    public var filtered: Counter
    public var sampledOut: Counter
    public var rateLimited: Counter
    /// Should have been copied, and the kernel or the destination did not take it.
    public var errors: Counter
    /// Passed over because they carry our mark, or are packets of the tap's own tunnel: copies of copies. Not part of `seen`.
    public var marked: Counter
    /// Passed over because another tap with `once` has copied them to the same destination.
    public var alreadyCopied: Counter

    public init(
        copied: Counter = Counter(), filtered: Counter = Counter(), sampledOut: Counter = Counter(), rateLimited: Counter = Counter(),
        errors: Counter = Counter(), marked: Counter = Counter(), alreadyCopied: Counter = Counter()
    ) {
        self.copied = copied
        self.filtered = filtered
        self.sampledOut = sampledOut
        self.rateLimited = rateLimited
        self.errors = errors
        self.marked = marked
        self.alreadyCopied = alreadyCopied
    }

    /// Everything that the tap was there to copy: computed, so that it cannot disagree with its parts.
    public var seen: Counter { copied + filtered + sampledOut + rateLimited + errors + alreadyCopied }
}

extension DirectionCounters: Encodable {
    private enum CodingKeys: String, CodingKey {
        case seen, copied, filtered, errors, marked
        case sampledOut = "sampled_out"
        case rateLimited = "rate_limited"
        case alreadyCopied = "already_copied"
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(seen, forKey: .seen)
        try container.encode(copied, forKey: .copied)
        try container.encode(filtered, forKey: .filtered)
        try container.encode(sampledOut, forKey: .sampledOut)
        try container.encode(rateLimited, forKey: .rateLimited)
        try container.encode(errors, forKey: .errors)
        try container.encode(marked, forKey: .marked)
        try container.encode(alreadyCopied, forKey: .alreadyCopied)
    }
}

extension DirectionCounters: Decodable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        copied = try container.decode(Counter.self, forKey: .copied)
        filtered = try container.decode(Counter.self, forKey: .filtered)
        sampledOut = try container.decode(Counter.self, forKey: .sampledOut)
        rateLimited = try container.decode(Counter.self, forKey: .rateLimited)
        errors = try container.decode(Counter.self, forKey: .errors)
        marked = try container.decode(Counter.self, forKey: .marked)
        alreadyCopied = try container.decodeIfPresent(Counter.self, forKey: .alreadyCopied) ?? Counter()
    }
}
