// SPDX-License-Identifier: LGPL-2.1-or-later

/// How much of a frame is copied.
public enum Snaplen: Hashable, Sendable {
    /// At most this many bytes, 64 to 65535, before encapsulation.
    case bytes(UInt16)
    /// The link to transport headers and no payload.
    case headers

    public static let range: ClosedRange<UInt16> = 64...65_535
}

extension Snaplen: CustomStringConvertible {
    /// As the metadata writes it.
    public var description: String {
        switch self {
        case .bytes(let count): String(count)
        case .headers: "headers"
        }
    }

    public init?(_ text: String) {
        if text == "headers" {
            self = .headers
        } else if let count = UInt16(text), Self.range.contains(count), text.utf8.first != UInt8(ascii: "+") {
            self = .bytes(count)
        } else {
            return nil
        }
    }
}

extension Snaplen: Codable {
    public init(from decoder: any Decoder) throws {
        self = try decodeFromString(decoder) { Snaplen($0) }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// Which share of the traffic is copied: one in `oneIn`, 1 to 2,147,483,647.
public enum Sampling: Hashable, Codable, Sendable {
    /// `sample`: one packet in N.
    case packets(oneIn: UInt32)
    /// `sample-flows`: every packet, both directions, of one flow in N.
    case flows(oneIn: UInt32)

    public static let range: ClosedRange<UInt32> = 1...2_147_483_647
}

/// The upper limit of what one tap copies, for all its interfaces and directions together; also of a destination or of the host.
public struct RateLimit: Hashable, Codable, Sendable {
    public enum Unit: String, Codable, Sendable {
        /// Counts bytes after truncation and before encapsulation.
        case bitsPerSecond
        case packetsPerSecond

        /// A measured rate for people, such as `12.3 Gbit/s`.
        func text(_ perSecond: Double) -> String {
            let name = self == .bitsPerSecond ? "bit/s" : "packets/s"
            let tenths = { (value: Double) in
                let tenths = Int((value * 10).rounded())
                return tenths % 10 == 0 || tenths >= 1_000 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
            }
            switch (self, perSecond) {
            case (.bitsPerSecond, 1e9...): return "\(tenths(perSecond / 1e9)) G\(name)"
            case (.bitsPerSecond, 1e6...): return "\(tenths(perSecond / 1e6)) M\(name)"
            case (.bitsPerSecond, 1e3...): return "\(tenths(perSecond / 1e3)) k\(name)"
            default: return "\(Int(perSecond.rounded())) \(name)"
            }
        }
    }

    /// Greater than zero.
    public var perSecond: UInt64
    public var unit: Unit
    /// The burst in bytes or in packets, as `unit` says; `nil`: virt-tap chooses it.
    public var burst: UInt64?
    /// As it was written (`100mbit`), for status and for writing it back.
    public var text: String
    /// As `burst` was written (`64k`).
    public var burstText: String?

    public init(perSecond: UInt64, unit: Unit, burst: UInt64?, text: String, burstText: String?) {
        self.perSecond = perSecond
        self.unit = unit
        self.burst = burst
        self.text = text
        self.burstText = burstText
    }
}
