// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

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
            throw ValueProblem("\(Quotation.quoted(text)) is no rate: write a whole number from 1 to \(greatest) before \(unit.name)")
        }
        return RateLimit(
            perSecond: count * unit.factor, unit: unit.unit,
            burst: try burst.map { text throws(ValueProblem) in try self.burst(text, unit.unit) },
            text: text, burstText: burst)
    }

    private static func unitProblem(_ text: String, number: Substring, unit: String) -> ValueProblem {
        let names = rateUnits.map(\.name)
        let known = "write bit, kbit, mbit, gbit, pps or kpps"
        if number.isEmpty { return ValueProblem("\(Quotation.quoted(text)) is no rate: write a number and its unit, such as 100mbit") }
        if unit.isEmpty { return ValueProblem("\(Quotation.quoted(text)) has no unit: \(known)") }
        let lower = unit.lowercased()
        if lower.hasSuffix("bps"), let meant = ["bps": "bit", "kbps": "kbit", "mbps": "mbit", "gbps": "gbit"][lower] {
            let bytes = ["bps": "bytes", "kbps": "kilobytes", "mbps": "megabytes", "gbps": "gigabytes"][lower] ?? "bytes"
            return ValueProblem("tc's \(lower) means \(bytes) per second: write \(meant) for bits", suggestion: "\(number)\(meant)")
        }
        if lower.hasSuffix("bps") { return ValueProblem("tc's units that end in bps mean bytes per second: \(known)") }
        if unit.hasPrefix(".") {
            return ValueProblem("\(Quotation.quoted(text)) is no rate: write a whole number, with a smaller unit for a part of one")
        }
        // What begins with another prefix would come out a million times less.
        let isPrefixed = lower.first.map { "tpegmk".contains($0) } ?? false
        let nearest = NearestName.of(unit, among: names).flatMap { !isPrefixed || $0.first == lower.first ? $0 : nil }
        return ValueProblem("\(Quotation.quoted(unit)) is no unit of a rate: \(known)", suggestion: nearest.map { "\(number)\($0)" })
    }

    private static func burst(_ text: String, _ unit: RateLimit.Unit) throws(ValueProblem) -> UInt64 {
        let (number, name) = split(text)
        let units = unit == .bitsPerSecond ? burstUnits : Array(burstUnits.prefix(1))
        guard let match = units.first(where: { $0.name == name }), isPlainNumber(number), number != "0", number.count <= match.digits,
            let count = UInt64(number)
        else {
            throw ValueProblem(
                unit == .bitsPerSecond
                    ? "\(Quotation.quoted(text)) is no burst: write bytes, such as 65536, 64k or 1m"
                    : "\(Quotation.quoted(text)) is no burst: for a rate in packets write a number of packets")
        }
        return count * match.factor
    }

    private static func split(_ text: String) -> (number: Substring, unit: String) {
        let number = text.prefix { $0.isASCII && $0.isNumber }
        return (number, String(text[number.endIndex...]))
    }
}
