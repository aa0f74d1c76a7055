// SPDX-License-Identifier: LGPL-2.1-or-later

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
