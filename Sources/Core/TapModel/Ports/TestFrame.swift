// SPDX-License-Identifier: LGPL-2.1-or-later

/// The marked frame that `virt-tap test` sends. It is recognized by its MAC addresses, which no snap length removes.
///
/// A UDP datagram from 192.0.2.1 to 198.51.100.1 (reserved for documentation, RFC 5737), port 9 (discard), with a text that says what it is. The MAC addresses
/// are locally administered (IEEE 802) and hold a token of the test and the frame's number.
public struct TestFrame: Hashable, Sendable {
    /// Chosen at random for each test.
    public let token: UInt64
    /// Counts the frames of one test.
    public let number: UInt16

    public init(token: UInt64, number: UInt16) {
        self.token = token
        self.number = number
    }

    /// The number of bytes at the begin that all frames of one test have in common.
    private static let common = 10
    /// The length of both MAC addresses in bytes.
    private static let markLength = 12

    /// The bytes with which all frames of a test begin; the first four are practically random.
    public static func begin(token: UInt64) -> [UInt8] { Array(TestFrame(token: token, number: 0).mark.prefix(common)) }

    private var mark: [UInt8] {
        let token = (0..<8).map { UInt8(truncatingIfNeeded: self.token >> (56 - 8 * $0)) }
        return [0x02] + token[..<5] + [0x02] + token[5...] + [UInt8(number >> 8), UInt8(number & 0xFF)]
    }

    /// The frame without its check sequence.
    public var bytes: [UInt8] {
        let text = Array("virt-tap test: this frame was sent by `virt-tap test` on purpose".utf8)
        let udp = Self.big(0x0009) + Self.big(0x0009) + Self.big(8 + text.count) + [0, 0] + text
        var ip: [UInt8] =
            [0x45, 0] + Self.big(20 + udp.count) + [0, 0, 0x40, 0, 64, 17, 0, 0] + [192, 0, 2, 1] + [198, 51, 100, 1]
        var sum = stride(from: 0, to: ip.count, by: 2).reduce(0) { $0 + Int(ip[$1]) << 8 + Int(ip[$1 + 1]) }
        while sum > 0xFFFF { sum = sum >> 16 + sum & 0xFFFF }
        ip.replaceSubrange(10..<12, with: Self.big(~sum & 0xFFFF))
        return mark + Self.big(0x0800) + ip + udp
    }

    /// The number of the frame of this test that begins at an offset of a captured packet; `nil`: none begins there.
    public static func number(in capture: some RandomAccessCollection<UInt8>, at offset: Int, token: UInt64) -> UInt16? {
        guard capture.count >= offset + markLength else { return nil }
        let mark = Array(capture.dropFirst(offset).prefix(markLength))
        guard Array(mark.prefix(common)) == begin(token: token) else { return nil }
        return UInt16(mark[10]) << 8 | UInt16(mark[11])
    }

    private static func big(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }
}

/// One test frame: the tap and direction that it was sent for, and its outcome.
public struct TestFrameResult: Hashable, Codable, Sendable {
    /// `TestFrame.number`.
    public var number: UInt16
    public var tap: TapName
    public var origin: TapOrigin
    /// The tapped device.
    public var device: String
    @Nullable public var alias: String?
    public var direction: Direction
    /// What became of the frame; `nil`: it was not sent.
    @Nullable public var outcome: TestFrameOutcome?
    /// Why the frame was not sent; `nil`: it was sent.
    @Nullable public var message: String?

    public init(
        number: UInt16, tap: TapName, origin: TapOrigin, device: String, alias: String?, direction: Direction,
        outcome: TestFrameOutcome? = nil,
        message: String? = nil
    ) {
        self.number = number
        self.tap = tap
        self.origin = origin
        self.device = device
        self.alias = alias
        self.direction = direction
        self.outcome = outcome
        self.message = message
    }
}

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

    /// Why the tap would not have copied the frame. A copy is sent anyway, by the same program without that option.
    public enum Choice: String, Codable, Sendable {
        case filter, sample
    }

    public var fate: Fate
    /// The option because of which the tap would not have copied the frame; `nil`: it would have.
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
