// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibxml2
import TapModel

extension TapValue {
    /// An address literal.
    struct Address: Equatable {
        /// 4 or 16 bytes, in network order.
        var bytes: [UInt8]
        /// As inet_ntop(3) writes it.
        var text: String
    }

    /// An IPv4 or IPv6 address that a packet can be sent to or from.
    static func address(_ text: String) throws(ValueProblem) -> Address {
        guard let address = literal(text) else {
            throw ValueProblem("\(Quotation.quoted(text)) is no IPv4 or IPv6 address; names are not looked up")
        }
        guard address.bytes.contains(where: { $0 != 0 }) else { throw ValueProblem("\(Quotation.quoted(text)) is nobody's address") }
        guard address.bytes.count == 4 || address.bytes[..<12] != [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF] else {
            throw ValueProblem("\(Quotation.quoted(text)) is an IPv4 address in IPv6 clothes: write the IPv4 address")
        }
        return address
    }

    /// A network in CIDR notation.
    static func addressRange(_ text: some StringProtocol) throws(ValueProblem) -> AddressRange {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = literal(String(parts[0])), isPlainNumber(parts[1]), let length = Int(parts[1]),
            let range = AddressRange(address: address.bytes, prefixLength: length)
        else { throw ValueProblem("\(Quotation.quoted(String(text))) is no network: write an address and a prefix length, 192.0.2.0/24") }
        guard range.address == address.bytes else {
            throw ValueProblem("\(Quotation.quoted(String(text))) has bits set behind its prefix: write the network's first address")
        }
        return range
    }

    private static func literal(_ text: String) -> Address? {
        guard text.utf8.count < 46 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 16)
        var canonical = [CChar](repeating: 0, count: 46)
        let count = Int(vtxml_address(text, &bytes, &canonical))
        guard count > 0 else { return nil }
        return Address(
            bytes: Array(bytes.prefix(count)),
            text: String(decoding: canonical.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }
}
