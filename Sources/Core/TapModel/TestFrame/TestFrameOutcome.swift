// SPDX-License-Identifier: LGPL-2.1-or-later

/// What a tap's program did with a test frame.
public struct TestFrameOutcome: Hashable, Codable, Sendable {
    /// What became of the copy, as the counters call it.
    public enum Fate: String, Codable, Sendable {
        case copied
        /// The destination's `rate` was used up.
        case rateLimited = "rate_limited"
        /// The destination's device, or the relay, did not take it, or there is none.
        case errors
    }

    /// Why the tap would have left the frame alone. It is sent all the same, by the same program without that choice.
    public enum Choice: String, Codable, Sendable {
        case filter, sample
    }

    public var fate: Fate
    /// `nil`: the tap would have copied it.
    public var leftOutBy: Choice?

    private enum CodingKeys: String, CodingKey {
        case fate
        case leftOutBy = "left_out_by"
    }

    public init(fate: Fate, leftOutBy: Choice? = nil) {
        self.fate = fate
        self.leftOutBy = leftOutBy
    }
}
