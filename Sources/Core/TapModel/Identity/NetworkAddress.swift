// SPDX-License-Identifier: LGPL-2.1-or-later

/// Reads IP addresses from their text.
public enum IPAddress {
    /// The 4 or 16 bytes, in network order, of a dotted IPv4 or an RFC 4291 IPv6 address without zone; `nil` otherwise.
    public static func bytes(_ text: String) -> [UInt8]? {
        text.utf8.contains(UInt8(ascii: ":")) ? v6(text) : v4(Substring(text))
    }

    private static func v4(_ text: Substring) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bytes: [UInt8] = []
        for part in parts {
            guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (48...57).contains($0) }), let value = UInt8(part),
                part.utf8.count == 1 || part.utf8.first != UInt8(ascii: "0")
            else { return nil }
            bytes.append(value)
        }
        return bytes
    }

    private static func v6(_ text: String) -> [UInt8]? {
        var halves: [[UInt8]] = []
        let parts = splitAtGap(text) ?? []
        for (index, part) in parts.enumerated() {
            guard let bytes = groups(part, mayEndInIPv4: index == parts.count - 1) else { return nil }
            halves.append(bytes)
        }
        switch halves.count {
        case 1: return halves[0].count == 16 ? halves[0] : nil
        case 2:
            let missing = 16 - halves[0].count - halves[1].count
            return missing >= 2 ? halves[0] + [UInt8](repeating: 0, count: missing) + halves[1] : nil
        default: return nil
        }
    }

    /// The parts before and after `::`, or the whole; `nil` when `::` occurs twice.
    private static func splitAtGap(_ text: String) -> [Substring]? {
        let characters = Array(text)
        var gap: Int?
        var index = 0
        while index + 1 < characters.count {
            if characters[index] == ":", characters[index + 1] == ":" {
                guard gap == nil else { return nil }
                gap = index
                index += 2
            } else {
                index += 1
            }
        }
        guard let gap else { return [Substring(text)] }
        return [Substring(String(characters[..<gap])), Substring(String(characters[(gap + 2)...]))]
    }

    private static func groups(_ text: Substring, mayEndInIPv4: Bool) -> [UInt8]? {
        if text.isEmpty { return [] }
        var bytes: [UInt8] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if mayEndInIPv4, index == parts.count - 1, part.contains(".") {
                guard let tail = v4(part) else { return nil }
                bytes += tail
            } else {
                guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy({ hexadecimalValue($0) != nil }),
                    let value = UInt16(part, radix: 16)
                else { return nil }
                bytes += [UInt8(value >> 8), UInt8(value & 0xFF)]
            }
        }
        return bytes.count <= 16 ? bytes : nil
    }
}

extension IPAddress {
    /// The text of an address of 4 or 16 bytes; IPv6 as RFC 5952 has it.
    public static func text(_ bytes: [UInt8]) -> String {
        guard bytes.count == 16 else { return bytes.map(String.init).joined(separator: ".") }
        let groups = stride(from: 0, to: 16, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
        // The longest run of zeros, of two at least, the first of several.
        var gap = 0..<0
        var start = 0
        for index in 0...8 where index == 8 || groups[index] != 0 {
            if index - start > max(gap.count, 1) { gap = start..<index }
            start = index + 1
        }
        let words = groups.map { String($0, radix: 16) }
        guard !gap.isEmpty else { return words.joined(separator: ":") }
        return words[..<gap.lowerBound].joined(separator: ":") + "::" + words[gap.upperBound...].joined(separator: ":")
    }
}

/// An Ethernet address of 48 bits.
public struct MACAddress: Hashable, Sendable {
    /// The six bytes in the order of transmission.
    public private(set) var bytes: [UInt8]

    /// - Parameter bytes: exactly six bytes; `nil` otherwise.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 6 else { return nil }
        self.bytes = bytes
    }

    /// Parses six groups of one or two hexadecimal digits between colons, as libvirt does.
    public init?(_ text: String) {
        let groups = text.utf8.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard groups.count == 6 else { return nil }
        var bytes: [UInt8] = []
        for group in groups {
            guard (1...2).contains(group.count) else { return nil }
            var value: UInt8 = 0
            for character in group {
                guard let digit = hexadecimalValue(character) else { return nil }
                value = value << 4 | digit
            }
            bytes.append(value)
        }
        self.bytes = bytes
    }

    /// The address of the tap device that libvirt makes for a guest's interface with this address.
    ///
    /// It is the guest's with the first byte FE, or FA where the guest's own begins with FE
    /// (virNetDevTapCreateInBridgePort in src/util/virnetdevtap.c), so that the bridge keeps its own address. A macvtap
    /// device carries the guest's address itself.
    public var tapSide: MACAddress {
        var side = self
        side.bytes[0] = bytes[0] == 0xFE ? 0xFA : 0xFE
        return side
    }
}

extension MACAddress: CustomStringConvertible {
    public var description: String { bytes.map(hexadecimal).joined(separator: ":") }
}

extension MACAddress: Codable {
    public init(from decoder: any Decoder) throws {
        self = try decodeFromString(decoder) { MACAddress($0) }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

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

/// An IP address that a device of this host has, and the network that is on its link by that.
public struct DeviceAddress: Hashable, Sendable {
    /// 4 or 16 bytes in network order.
    public var address: [UInt8]
    /// The network of the address; on a link between two machines only the other machine.
    public var network: AddressRange

    /// - Parameters:
    ///   - peer: the other machine, on a link between two; `nil`: there is none, or many.
    ///   - prefixLength: of the network.
    /// - Returns: `nil` for a prefix that does not fit the address.
    public init?(_ address: [UInt8], peer: [UInt8]? = nil, prefixLength: Int) {
        guard let network = AddressRange(address: peer ?? address, prefixLength: prefixLength) else { return nil }
        self.address = address
        self.network = network
    }

    /// Such as `10.9.0.2/24`.
    public var text: String { "\(IPAddress.text(address))/\(network.prefixLength)" }
}
