// SPDX-License-Identifier: LGPL-2.1-or-later

/// An IPv4 or IPv6 network in CIDR notation.
public struct AddressRange: Hashable, Codable, Sendable {
    /// 4 or 16 bytes, in network order, bits behind the prefix zero.
    public let address: [UInt8]
    /// 0 to 32, or 0 to 128.
    public let prefixLength: Int

    /// - Returns: `nil` unless `address` has 4 or 16 bytes and the prefix fits. Bits behind the prefix are cleared.
    public init?(address: [UInt8], prefixLength: Int) {
        guard address.count == 4 || address.count == 16, (0...address.count * 8).contains(prefixLength) else { return nil }
        self.prefixLength = prefixLength
        self.address = address.enumerated().map { index, byte in
            let kept = min(max(prefixLength - index * 8, 0), 8)
            return byte & UInt8(truncatingIfNeeded: 0xFF00 >> kept)
        }
    }

    /// - Parameter other: 4 or 16 bytes in network order; the other family never matches.
    public func contains(_ other: [UInt8]) -> Bool {
        AddressRange(address: other, prefixLength: min(prefixLength, other.count * 8))?.address == address && other.count == address.count
    }
}
