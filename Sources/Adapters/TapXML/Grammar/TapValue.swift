// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibxml2
import TapModel

/// The values of a tap, as attributes of its metadata and options of the command write them.
///
/// Nothing is trimmed and no other notation is understood, so that what libvirt keeps is what was meant.
enum TapValue {
    /// A tap's or a destination's name.
    static func name(_ text: String) throws(ValueProblem) -> TapName {
        guard let name = TapName(text) else {
            throw ValueProblem(
                "invalid name \(Quotation.quoted(text)): use 1 to \(TapName.maximumLength) characters of A-Z a-z 0-9 . _ -, "
                    + "the first a letter or digit"
            )
        }
        return name
    }

    static func direction(_ text: String) throws(ValueProblem) -> TapDirection {
        if let direction = TapDirection(rawValue: text) { return direction }
        let meant: String? =
            switch text.lowercased() {
            case "in", "rx", "receive": "inbound"
            case "out", "tx", "send", "transmit": "outbound"
            case "inout", "in-out", "any", "all", "bidirectional": "both"
            default: NearestName.of(text, among: TapDirection.allCases.map(\.rawValue))
            }
        throw ValueProblem(
            "invalid direction \(Quotation.quoted(text)): use inbound (what the guest receives), outbound (what it sends) or both",
            suggestion: meant)
    }

    static func snaplen(_ text: String) throws(ValueProblem) -> Snaplen {
        if text == "headers" { return .headers }
        guard isPlainNumber(text), let snaplen = Snaplen(text) else {
            throw ValueProblem(
                "invalid snaplen \(Quotation.quoted(text)): use \(Snaplen.range.lowerBound) to \(Snaplen.range.upperBound), or headers",
                suggestion: NearestName.of(text, among: ["headers"]))
        }
        return snaplen
    }

    /// The N of `1/N`.
    static func oneIn(_ text: String) throws(ValueProblem) -> UInt32 {
        let number = text.hasPrefix("1/") ? String(text.dropFirst(2)) : ""
        guard isPlainNumber(number), let count = UInt32(number), Sampling.range.contains(count) else {
            throw ValueProblem(
                "invalid share \(Quotation.quoted(text)): use 1/N with N from 1 to \(Sampling.range.upperBound)")
        }
        return count
    }

    /// A filter expression, trimmed. Whether it is one is decided when it is compiled.
    static func filter(_ text: String) throws(ValueProblem) -> String {
        let bytes = text.utf8
        let isBlank: (UInt8) -> Bool = {
            $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r")
        }
        let start = bytes.firstIndex { !isBlank($0) } ?? bytes.endIndex
        let end = bytes.lastIndex { !isBlank($0) }.map { bytes.index(after: $0) } ?? start
        let length = bytes.distance(from: start, to: end)
        guard length > 0 else { throw ValueProblem("the filter is empty: add a pcap-filter expression, or remove the element") }
        guard length <= Tap.maximumFilterLength else {
            throw ValueProblem("the filter has \(length) bytes; at most \(Tap.maximumFilterLength) are allowed")
        }
        let trimmed = String(text[start..<end])
        let words = trimmed.split { !($0.isASCII && ($0.isLetter || $0.isNumber)) && !"_-.:".contains($0) }
        for word in ["inbound", "outbound"] where words.contains(Substring(word)) {
            throw ValueProblem(
                "the filter says \(word), which libpcap sees from the host, the reverse of the guest's view: remove it and use "
                    + "direction=\"\(word)\" on the tap")
        }
        return trimmed
    }

    static func mac(_ text: String) throws(ValueProblem) -> MACAddress {
        guard let mac = MACAddress(text) else {
            throw ValueProblem(
                "invalid MAC address \(Quotation.quoted(text)): use six pairs of hexadecimal digits, such as 52:54:00:12:34:56")
        }
        return mac
    }

    static func uuid(_ text: String) throws(ValueProblem) -> DomainUUID {
        let bytes = Array(text.utf8)
        let dashes = bytes.indices.filter { bytes[$0] == UInt8(ascii: "-") }
        guard dashes.isEmpty || dashes == [8, 13, 18, 23], let uuid = DomainUUID(text) else {
            throw ValueProblem("invalid UUID \(Quotation.quoted(text)): use 32 hexadecimal digits in groups of 8-4-4-4-12")
        }
        return uuid
    }

    static func yesNo(_ text: String) throws(ValueProblem) -> Bool {
        switch text {
        case "yes": return true
        case "no": return false
        default:
            let meant: String? =
                switch text.lowercased() {
                case "true", "1", "on", "y": "yes"
                case "false", "0", "off", "n": "no"
                default: NearestName.of(text, among: ["yes", "no"])
                }
            throw ValueProblem("invalid value \(Quotation.quoted(text)): use yes or no", suggestion: meant)
        }
    }

    static func text(_ text: String) throws(ValueProblem) -> String {
        guard !text.isEmpty else { throw ValueProblem("the value is empty") }
        return text
    }

    static func choice<Value: CaseIterable & RawRepresentable<String>>(
        _ text: String, _: Value.Type = Value.self
    ) throws(ValueProblem) -> Value {
        if let value = Value(rawValue: text) { return value }
        let names = Value.allCases.map(\.rawValue)
        throw ValueProblem(
            "invalid value \(Quotation.quoted(text)): use one of \(names.joined(separator: ", "))",
            suggestion: NearestName.of(text, among: names))
    }

    static func number<Number: FixedWidthInteger & Sendable>(_ text: String, _ range: ClosedRange<Number>) throws(ValueProblem) -> Number {
        guard isPlainNumber(text), let number = Number(text), range.contains(number) else {
            throw ValueProblem("invalid number \(Quotation.quoted(text)): use \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// Decimal digits only, and no zero in front, which others take for octal.
    static func isPlainNumber(_ text: some StringProtocol) -> Bool {
        let bytes = text.utf8
        guard let first = bytes.first, bytes.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return false }
        return first != UInt8(ascii: "0") || bytes.count == 1
    }
}

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
            throw ValueProblem("invalid address \(Quotation.quoted(text)): use an IPv4 or IPv6 address; names are not looked up")
        }
        guard address.bytes.contains(where: { $0 != 0 }) else {
            throw ValueProblem("unspecified address \(Quotation.quoted(text)): use the address of one machine")
        }
        guard address.bytes.count == 4 || address.bytes[..<12] != [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF] else {
            throw ValueProblem("IPv4-mapped IPv6 address \(Quotation.quoted(text)): use the IPv4 address")
        }
        return address
    }

    /// A network in CIDR notation.
    static func addressRange(_ text: some StringProtocol) throws(ValueProblem) -> AddressRange {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = literal(String(parts[0])), isPlainNumber(parts[1]), let length = Int(parts[1]),
            let range = AddressRange(address: address.bytes, prefixLength: length)
        else {
            throw ValueProblem(
                "invalid network \(Quotation.quoted(String(text))): use an address and a prefix length, such as 192.0.2.0/24")
        }
        guard range.address == address.bytes else {
            throw ValueProblem(
                "invalid network \(Quotation.quoted(String(text))): bits are set behind the prefix; use the network's first address")
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

extension TapValue {
    /// What one rate unit is, and how many digits may stand before it: no limit exceeds ten terabits or ten billion
    /// packets a second, so that arithmetic on it stays within 64 bits.
    private static let rateUnits: [(name: String, unit: RateLimit.Unit, factor: UInt64, digits: Int)] = [
        ("bit", .bitsPerSecond, 1, 13), ("kbit", .bitsPerSecond, 1_000, 10), ("mbit", .bitsPerSecond, 1_000_000, 7),
        ("gbit", .bitsPerSecond, 1_000_000_000, 4), ("pps", .packetsPerSecond, 1, 10), ("kpps", .packetsPerSecond, 1_000, 7),
    ]

    /// `k` and `m` as tc(8) has them, powers of 1,024.
    private static let burstUnits: [(name: String, factor: UInt64, digits: Int)] = [("", 1, 10), ("k", 1_024, 7), ("m", 1_048_576, 4)]

    /// A rate such as `100mbit` or `5kpps`, and what may come at once: bytes (`64k`, `1m`) for bits, a number for packets.
    static func rate(_ text: String, burst: String? = nil) throws(ValueProblem) -> RateLimit {
        let (number, name) = split(text)
        guard let unit = rateUnits.first(where: { $0.name == name }) else { throw unitProblem(text, number: number, unit: name) }
        guard isPlainNumber(number), number != "0", number.count <= unit.digits, let count = UInt64(number) else {
            let greatest = String(repeating: "9", count: unit.digits)
            throw ValueProblem("invalid rate \(Quotation.quoted(text)): use a whole number from 1 to \(greatest) before \(unit.name)")
        }
        return RateLimit(
            perSecond: count * unit.factor, unit: unit.unit,
            burst: try burst.map { text throws(ValueProblem) in try self.burst(text, unit.unit) },
            text: text, burstText: burst)
    }

    private static func unitProblem(_ text: String, number: Substring, unit: String) -> ValueProblem {
        let names = rateUnits.map(\.name)
        let known = "use bit, kbit, mbit, gbit, pps or kpps"
        if number.isEmpty { return ValueProblem("invalid rate \(Quotation.quoted(text)): use a number and its unit, such as 100mbit") }
        if unit.isEmpty { return ValueProblem("invalid rate \(Quotation.quoted(text)) without a unit: \(known)") }
        let lower = unit.lowercased()
        if lower.hasSuffix("bps"), let meant = ["bps": "bit", "kbps": "kbit", "mbps": "mbit", "gbps": "gbit"][lower] {
            let bytes = ["bps": "bytes", "kbps": "kilobytes", "mbps": "megabytes", "gbps": "gigabytes"][lower] ?? "bytes"
            return ValueProblem("tc's \(lower) means \(bytes) per second: use \(meant) for bits", suggestion: "\(number)\(meant)")
        }
        if lower.hasSuffix("bps") { return ValueProblem("tc's units that end in bps mean bytes per second: \(known)") }
        if unit.hasPrefix(".") {
            return ValueProblem("invalid rate \(Quotation.quoted(text)): use a whole number, and a smaller unit for fractions")
        }
        // What begins with another prefix would come out a million times less.
        let isPrefixed = lower.first.map { "tpegmk".contains($0) } ?? false
        let nearest = NearestName.of(unit, among: names).flatMap { !isPrefixed || $0.first == lower.first ? $0 : nil }
        return ValueProblem("invalid unit \(Quotation.quoted(unit)) of a rate: \(known)", suggestion: nearest.map { "\(number)\($0)" })
    }

    private static func burst(_ text: String, _ unit: RateLimit.Unit) throws(ValueProblem) -> UInt64 {
        let (number, name) = split(text)
        let units = unit == .bitsPerSecond ? burstUnits : Array(burstUnits.prefix(1))
        guard let match = units.first(where: { $0.name == name }), isPlainNumber(number), number != "0", number.count <= match.digits,
            let count = UInt64(number)
        else {
            throw ValueProblem(
                unit == .bitsPerSecond
                    ? "invalid burst \(Quotation.quoted(text)): use bytes, such as 65536, 64k or 1m"
                    : "invalid burst \(Quotation.quoted(text)): for a rate in packets use a number of packets")
        }
        return count * match.factor
    }

    private static func split(_ text: String) -> (number: Substring, unit: String) {
        let number = text.prefix { $0.isASCII && $0.isNumber }
        return (number, String(text[number.endIndex...]))
    }
}

/// Why a value is not one, without saying where it stands.
struct ValueProblem: Error, Hashable, Sendable {
    /// What is wrong and what to write instead.
    var message: String
    /// What was probably meant.
    var suggestion: String?

    init(_ message: String, suggestion: String? = nil) {
        self.message = message
        self.suggestion = suggestion
    }
}
