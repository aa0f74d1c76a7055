// SPDX-License-Identifier: LGPL-2.1-or-later

/// The name of a tap (unique in its domain) or of a destination (unique on its host).
///
/// 1 to 32 characters of `[A-Za-z0-9._-]`, the first a letter or a digit: such a name needs no quoting in a shell,
/// in XML or on a terminal.
public struct TapName: Hashable, Sendable {
    public let text: String

    public static let maximumLength = 32

    /// - Returns: `nil` when `text` does not follow the rule above.
    public init?(_ text: String) {
        let bytes = text.utf8
        guard let first = bytes.first, bytes.count <= Self.maximumLength, Self.isAlphanumeric(first),
            bytes.allSatisfy({ Self.isAlphanumeric($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") })
        else { return nil }
        self.text = text
    }

    /// The name of a tap that names neither itself nor a destination.
    public static let fallback = TapName(verbatim: "tap")

    private init(verbatim: String) { text = verbatim }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        default: false
        }
    }
}

extension TapName: CustomStringConvertible {
    public var description: String { text }
}

extension TapName: Comparable {
    public static func < (left: Self, right: Self) -> Bool { left.text < right.text }
}

extension TapName: Codable {
    public init(from decoder: any Decoder) throws {
        self = try decodeFromString(decoder) { TapName($0) }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
