// SPDX-License-Identifier: LGPL-2.1-or-later

/// A domain's UUID: the one key of a domain that survives renaming, restarting and migration.
public struct DomainUUID: Hashable, Sendable {
    /// The 16 bytes, most significant first, as libvirt's `virDomainGetUUID` gives them.
    public let bytes: [UInt8]

    /// - Parameter bytes: exactly 16 bytes; `nil` otherwise.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 16 else { return nil }
        self.bytes = bytes
    }

    /// Parses what libvirt parses: 32 hexadecimal digits with any number of dashes between them.
    public init?(_ text: String) {
        var digits: [UInt8] = []
        for character in text.utf8 where character != UInt8(ascii: "-") {
            guard let digit = hexadecimalValue(character), digits.count < 32 else { return nil }
            digits.append(digit)
        }
        guard digits.count == 32 else { return nil }
        bytes = stride(from: 0, to: 32, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    /// The 32 lower-case digits without dashes, as pin names use them.
    public var hex: String { bytes.map(hexadecimal).joined() }
}

extension DomainUUID: CustomStringConvertible {
    public var description: String {
        var text = ""
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text += "-" }
            text += hexadecimal(byte)
        }
        return text
    }
}

extension DomainUUID: Comparable {
    public static func < (left: Self, right: Self) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }
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
