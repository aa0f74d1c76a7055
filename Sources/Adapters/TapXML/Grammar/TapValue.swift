// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// The values of a tap, as attributes of its metadata and options of the command write them.
///
/// Nothing is trimmed and no other notation is understood, so that what libvirt keeps is what was meant.
enum TapValue {
    /// A tap's or a destination's name.
    static func name(_ text: String) throws(ValueProblem) -> TapName {
        guard let name = TapName(text) else {
            throw ValueProblem(
                "\(Quotation.quoted(text)) is no name: write 1 to \(TapName.maximumLength) of A-Z a-z 0-9 . _ - "
                    + "and begin with a letter or digit"
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
            "\(Quotation.quoted(text)) is no direction: write inbound (what the guest receives), outbound (what it sends) or both",
            suggestion: meant)
    }

    static func snaplen(_ text: String) throws(ValueProblem) -> Snaplen {
        if text == "headers" { return .headers }
        guard isPlainNumber(text), let snaplen = Snaplen(text) else {
            throw ValueProblem(
                "\(Quotation.quoted(text)) is no length: write \(Snaplen.range.lowerBound) to \(Snaplen.range.upperBound), or headers",
                suggestion: NearestName.of(text, among: ["headers"]))
        }
        return snaplen
    }

    /// The N of `1/N`.
    static func oneIn(_ text: String) throws(ValueProblem) -> UInt32 {
        let number = text.hasPrefix("1/") ? String(text.dropFirst(2)) : ""
        guard isPlainNumber(number), let count = UInt32(number), Sampling.range.contains(count) else {
            throw ValueProblem(
                "\(Quotation.quoted(text)) is no share: write 1/N with N from 1 to \(Sampling.range.upperBound)")
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
        guard length > 0 else { throw ValueProblem("the filter is empty: write a pcap-filter expression, or leave the element out") }
        guard length <= Tap.maximumFilterLength else {
            throw ValueProblem("the filter has \(length) bytes; at most \(Tap.maximumFilterLength) are allowed")
        }
        let trimmed = String(text[start..<end])
        let words = trimmed.split { !($0.isASCII && ($0.isLetter || $0.isNumber)) && !"_-.:".contains($0) }
        for word in ["inbound", "outbound"] where words.contains(Substring(word)) {
            throw ValueProblem(
                "the filter says \(word), which libpcap sees from the host, the reverse of the guest's view: remove it and write "
                    + "direction=\"\(word)\" on the tap")
        }
        return trimmed
    }

    static func mac(_ text: String) throws(ValueProblem) -> MACAddress {
        guard let mac = MACAddress(text) else {
            throw ValueProblem("\(Quotation.quoted(text)) is no MAC address: write six pairs of hexadecimal digits, 52:54:00:12:34:56")
        }
        return mac
    }

    static func uuid(_ text: String) throws(ValueProblem) -> DomainUUID {
        let bytes = Array(text.utf8)
        let dashes = bytes.indices.filter { bytes[$0] == UInt8(ascii: "-") }
        guard dashes.isEmpty || dashes == [8, 13, 18, 23], let uuid = DomainUUID(text) else {
            throw ValueProblem("\(Quotation.quoted(text)) is no UUID: write 32 hexadecimal digits, in groups of 8-4-4-4-12")
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
            throw ValueProblem("\(Quotation.quoted(text)) is neither yes nor no", suggestion: meant)
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
            "\(Quotation.quoted(text)) is none of \(names.joined(separator: ", "))", suggestion: NearestName.of(text, among: names))
    }

    static func number<Number: FixedWidthInteger & Sendable>(_ text: String, _ range: ClosedRange<Number>) throws(ValueProblem) -> Number {
        guard isPlainNumber(text), let number = Number(text), range.contains(number) else {
            throw ValueProblem("\(Quotation.quoted(text)) is not a number from \(range.lowerBound) to \(range.upperBound)")
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
