// SPDX-License-Identifier: LGPL-2.1-or-later

/// A destination as the kernel's destination map has it.
public struct DestinationRecord: Hashable, Sendable {
    /// The name in the configuration, or an inline destination's label.
    public var label: String
    public var kind: DestinationTarget.Kind
    /// The device that copies are sent to; 0: none at the moment, copies are counted as errors.
    public var ifindex: UInt32
    /// Copies that the device took.
    public var sent: Counter
    /// Copies that it did not take, or that could not be made what was asked for (cut) on the way.
    public var errors: Counter
    /// Frames that were not copied because the destination's `rate` was used up.
    public var rateLimited: Counter
    /// Copies that were too large for the path to another machine, by what became of them: sent in several packets,
    public var fragmented: Counter
    /// cut, or
    public var truncated: Counter
    /// dropped.
    public var oversized: Counter
    /// How much less than `sent` the device was given: bytes that were cut off; and of super-packets that it was given as they are the
    /// headers that each segment will have, and as packets those segments that a guest can only have claimed.
    public var spared: Counter
    /// What the device was given.
    public var given: Counter {
        // The two are not read at one moment.
        Counter(packets: sent.packets - min(spared.packets, sent.packets), bytes: sent.bytes - min(spared.bytes, sent.bytes))
    }

    public init(
        label: String, kind: DestinationTarget.Kind, ifindex: UInt32, sent: Counter = Counter(), errors: Counter = Counter(),
        rateLimited: Counter = Counter(), fragmented: Counter = Counter(), truncated: Counter = Counter(), oversized: Counter = Counter(),
        spared: Counter = Counter()
    ) {
        self.label = label
        self.kind = kind
        self.ifindex = ifindex
        self.sent = sent
        self.errors = errors
        self.rateLimited = rateLimited
        self.fragmented = fragmented
        self.truncated = truncated
        self.oversized = oversized
        self.spared = spared
    }
}
