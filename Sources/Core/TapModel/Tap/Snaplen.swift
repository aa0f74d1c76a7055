// SPDX-License-Identifier: LGPL-2.1-or-later

/// How much of a frame is copied.
public enum Snaplen: Hashable, Sendable {
    /// At most so many bytes, 64 to 65535, before encapsulation.
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
