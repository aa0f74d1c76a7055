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

/// Finds what somebody probably meant to type.
public enum NearestName {
    /// The nearest of `candidates`: equal but for case, or at most a third of its letters (at least one, at most
    /// three) added, left out, replaced or swapped with a neighbour; `nil` when none is that near.
    public static func of(_ text: String, among candidates: [String]) -> String? {
        guard text.utf8.count <= 64 else { return nil }
        let written = Array(text.lowercased().utf8)
        var best: (name: String, distance: Int)?
        for candidate in candidates {
            let wanted = Array(candidate.lowercased().utf8)
            let distance = self.distance(written, wanted)
            guard distance <= min(3, max(1, wanted.count / 3)), distance < best?.distance ?? Int.max else { continue }
            best = (candidate, distance)
        }
        return best?.name
    }

    /// Optimal string alignment distance: Levenshtein's with swaps of neighbours.
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...right.count)
        for (row, byte) in left.enumerated() {
            var current = [row + 1]
            for (column, other) in right.enumerated() {
                var best = min(last[column + 1] + 1, current[column] + 1, last[column] + (byte == other ? 0 : 1))
                if row > 0, column > 0, byte == right[column - 1], left[row - 1] == other { best = min(best, beforeLast[column - 1] + 1) }
                current.append(best)
            }
            beforeLast = last
            last = current
        }
        return last[right.count]
    }
}

extension String {
    /// The text with everything escaped that could act on a terminal, hide, or reorder what stands around it.
    ///
    /// libvirt accepts domain names with control and bidirectional characters; whatever came from XML goes through
    /// here once, where people read it. Escapes are `\u{…}`, and `\\` for a backslash, so that nothing can pose as one.
    public var printable: String { escaped { $0 == "\\" ? "\\\\" : nil } }

    /// The same for a line that is put together of printable parts and others: backslashes stay, so that nothing is
    /// escaped twice.
    public var inert: String { escaped { _ in nil } }

    private func escaped(_ special: (Unicode.Scalar) -> String?) -> String {
        var text = ""
        for scalar in unicodeScalars {
            if let known = special(scalar) {
                text += known
            } else if scalar.actsOnText {
                text += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}

extension Unicode.Scalar {
    fileprivate var actsOnText: Bool {
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned: true
        default: properties.isDefaultIgnorableCodePoint || (properties.isWhitespace && self != " ")
        }
    }
}
