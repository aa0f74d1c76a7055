// SPDX-License-Identifier: LGPL-2.1-or-later

/// The name of an attachment's directory in bpffs: 56 hexadecimal digits, made of the domain's UUID, the ifindex and a
/// hash of origin and tap name.
///
/// Hexadecimal because bpffs refuses dots, which tap names may have. The UUID stands in it whole, so that nobody can
/// choose tap names that collide with another domain's; within one domain the spec behind the name decides.
public struct AttachmentID: Hashable, Sendable {
    public let text: String

    public init(_ key: AttachmentKey) {
        let hash = StableHash.of("\(key.origin.rawValue)/\(key.tap.text)")
        text = key.domain.hex + Self.padded(UInt64(key.ifindex), to: 8) + Self.padded(hash, to: 16)
    }

    /// Takes a directory's name; `nil` when it cannot be one of ours.
    public init?(directory name: String) {
        guard name.utf8.count == 56, name.utf8.allSatisfy({ hexadecimalValue($0) != nil && !(65...70).contains($0) }) else { return nil }
        text = name
    }

    /// The domain's UUID as `DomainUUID.hex` writes it.
    public var domain: String { String(text.prefix(32)) }

    /// The device's, which stands in the name.
    public var ifindex: UInt32 { UInt32(text.dropFirst(32).prefix(8), radix: 16) ?? 0 }

    private static func padded(_ value: UInt64, to width: Int) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: width - digits.count) + digits
    }
}

extension AttachmentID: CustomStringConvertible {
    public var description: String { text }
}
