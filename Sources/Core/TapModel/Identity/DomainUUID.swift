// SPDX-License-Identifier: LGPL-2.1-or-later

/// A domain's UUID: the one key of a domain that survives renaming, restarting and migration.
public struct DomainUUID: Hashable, Sendable {
    // Most significant first: keys of every table, so they are compared and hashed often.
    private let high: UInt64
    private let low: UInt64

    /// - Parameter bytes: exactly 16 bytes; `nil` otherwise.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 16 else { return nil }
        high = bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes[8...].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The 16 bytes, most significant first, as libvirt's `virDomainGetUUID` gives them.
    public var bytes: [UInt8] {
        [high, low].flatMap { word in stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> UInt64($0)) } }
    }

    /// Parses what libvirt parses: 32 hexadecimal digits with any number of dashes between them.
    public init?(_ text: String) {
        var digits: [UInt8] = []
        for character in text.utf8 where character != UInt8(ascii: "-") {
            guard let digit = hexadecimalValue(character), digits.count < 32 else { return nil }
            digits.append(digit)
        }
        guard digits.count == 32 else { return nil }
        high = digits[..<16].reduce(0) { $0 << 4 | UInt64($1) }
        low = digits[16...].reduce(0) { $0 << 4 | UInt64($1) }
    }

    /// The 32 lower-case digits without dashes, as pin names use them.
    public var hex: String {
        String(unsafeUninitializedCapacity: 32) { text in
            for index in 0..<32 {
                let nibble = UInt8((index < 16 ? high : low) >> UInt64(60 - index % 16 * 4) & 0xF)
                text[index] = nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10
            }
            return 32
        }
    }
}

extension DomainUUID: CustomStringConvertible {
    public var description: String {
        let hex = hex.utf8
        return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { range in
            String(decoding: hex.dropFirst(range.lowerBound).prefix(range.count), as: UTF8.self)
        }.joined(separator: "-")
    }
}

extension DomainUUID: Comparable {
    public static func < (left: Self, right: Self) -> Bool { (left.high, left.low) < (right.high, right.low) }
}

extension DomainUUID: Codable {
    public init(from decoder: any Decoder) throws {
        self = try decodeFromString(decoder) { DomainUUID($0) }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
