// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// What a machine answers to a packet that gets no further: ICMP's destination unreachable (RFC 792, RFC 4443), which quotes it.
public struct IcmpRefusal: Hashable, Sendable {
    /// Who answers.
    public var sender: String
    /// What it says, such as "port unreachable".
    public var what: String
    /// Whether the packet has come to where it was sent, and nobody takes it there; else it was lost on the way.
    public var isReceivers: Bool

    /// ICMP's header before what it quotes.
    static let headerLength = 8

    public init(sender: String, what: String, isReceivers: Bool) {
        self.sender = sender
        self.what = what
        self.isReceivers = isReceivers
    }

    /// - Parameter frame: from its Ethernet header on, without VLAN tags.
    /// - Returns: `nil` for anything else.
    init?(_ frame: some RandomAccessCollection<UInt8>) {
        let bytes = Array(frame.prefix(14 + 40 + Self.headerLength))
        guard bytes.count >= 14 + 20 + Self.headerLength else { return nil }
        let says: [UInt8: String]
        let receivers: Set<UInt8>
        let icmp: Int
        switch (bytes[12], bytes[13]) {
        case (0x08, 0x00) where bytes[14] == 0x45 && bytes[23] == 1:
            icmp = 34
            guard bytes[icmp] == 3 else { return nil }
            sender = IPAddress.text(Array(bytes[26..<30]))
            let prohibited = "prohibited on the way"
            says = [
                0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable",
                4: "too large for the way", 9: prohibited, 10: prohibited, 13: prohibited,
            ]
            receivers = [2, 3]
        case (0x86, 0xDD) where bytes[20] == 58 && bytes.count == 14 + 40 + Self.headerLength:
            icmp = 54
            sender = IPAddress.text(Array(bytes[22..<38]))
            switch bytes[icmp] {
            case 1:
                says = [0: "network unreachable", 1: "prohibited on the way", 3: "host unreachable", 4: "port unreachable"]
                receivers = [4]
            case 2: (says, receivers) = ([0: "too large for the way"], [])
            // A next header that is not known is a parameter problem there.
            case 4: (says, receivers) = ([1: "protocol unreachable"], [1])
            default: return nil
            }
        default: return nil
        }
        what = says[bytes[icmp + 1]] ?? "unreachable"
        isReceivers = receivers.contains(bytes[icmp + 1])
    }
}
