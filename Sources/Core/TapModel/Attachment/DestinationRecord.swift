// SPDX-License-Identifier: LGPL-2.1-or-later

/// A destination as the kernel's destination map has it.
public struct DestinationRecord: Hashable, Sendable {
    /// The name in the configuration, or an inline destination's label.
    public var label: String
    public var kind: DestinationTarget.Kind
    /// The device that copies are sent to; 0: none at the moment, copies are counted as errors.
    public var ifindex: UInt32
    /// Copies that the device took, as a wire would have carried the frames.
    public var sent: Counter
    /// The same as the device was given them: without what was cut off, and without the headers that each segment of a GSO packet will
    /// have that it was given as it is, of which at most 128 count as packets.
    public var given: Counter
    /// Of those that were not made because the device did not take them, or because there is none: what it would have been given.
    public var wanted: Counter
    /// Copies that it did not take, or that could not be made what was asked for (cut) on the way.
    public var errors: Counter
    /// When the latest of them was; `nil`: there was none.
    public var lastError: Timestamp?
    /// Frames that were not copied because the destination's `rate` was used up.
    public var rateLimited: Counter
    /// Copies that were too large for the path to another machine, by what became of them: sent in several packets,
    public var fragmented: Counter
    /// cut, or
    public var truncated: Counter
    /// dropped.
    public var oversized: Counter

    public init(
        label: String, kind: DestinationTarget.Kind, ifindex: UInt32, sent: Counter = Counter(), given: Counter? = nil,
        wanted: Counter = Counter(), errors: Counter = Counter(), lastError: Timestamp? = nil,
        rateLimited: Counter = Counter(), fragmented: Counter = Counter(), truncated: Counter = Counter(), oversized: Counter = Counter()
    ) {
        self.label = label
        self.kind = kind
        self.ifindex = ifindex
        self.sent = sent
        self.given = given ?? sent
        self.wanted = wanted
        self.errors = errors
        self.lastError = lastError
        self.rateLimited = rateLimited
        self.fragmented = fragmented
        self.truncated = truncated
        self.oversized = oversized
    }
}
