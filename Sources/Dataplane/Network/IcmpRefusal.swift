// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// What a machine answers that takes no packets of some kind: ICMP's destination unreachable (RFC 792, RFC 4443), which quotes the packet.
public struct IcmpRefusal: Hashable, Sendable {
    /// Who answers.
    public var sender: String
    /// What is unreachable there, such as "port".
    public var what: String

    /// ICMP's header before what it quotes.
    static let headerLength = 8

    public init(sender: String, what: String) {
        self.sender = sender
        self.what = what
    }

    /// - Parameter frame: from its Ethernet header on, without VLAN tags.
    /// - Returns: `nil` for anything else.
    init?(_ frame: some RandomAccessCollection<UInt8>) {
        let bytes = Array(frame.prefix(14 + 40 + Self.headerLength))
        guard bytes.count >= 14 + 20 + Self.headerLength else { return nil }
        let what: [UInt8: String]
        let icmp: Int
        switch (bytes[12], bytes[13]) {
        case (0x08, 0x00) where bytes[14] == 0x45 && bytes[23] == 1:
            (icmp, what) = (34, [0: "network", 1: "host", 2: "protocol", 3: "port"])
            guard bytes[icmp] == 3 else { return nil }
            sender = IPAddress.text(Array(bytes[26..<30]))
        case (0x86, 0xDD) where bytes[20] == 58 && bytes.count == 14 + 40 + Self.headerLength:
            (icmp, what) = (54, [0: "network", 3: "address", 4: "port"])
            // A next header that is not known is a parameter problem there (4, 1).
            let isUnknownHeader = bytes[icmp] == 4 && bytes[icmp + 1] == 1
            guard bytes[icmp] == 1 || isUnknownHeader else { return nil }
            sender = IPAddress.text(Array(bytes[22..<38]))
            if isUnknownHeader {
                self.what = "protocol"
                return
            }
        default: return nil
        }
        self.what = what[bytes[icmp + 1]] ?? "destination"
    }
}
