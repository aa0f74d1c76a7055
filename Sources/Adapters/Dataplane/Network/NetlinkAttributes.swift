// SPDX-License-Identifier: LGPL-2.1-or-later

/// Attributes by type. Nested ones are read when asked for.
struct NetlinkAttributes {
    private var values: [Int: [ArraySlice<UInt8>]] = [:]

    /// `struct nlattr`: 16 bits of length, header included, 16 bits of type, then the value; all at multiples of 4.
    init(_ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        while rest.count >= 4 {
            let (length, type) = rest.withUnsafeBytes {
                (Int($0.loadUnaligned(as: UInt16.self)), Int32($0.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
            }
            guard length >= 4, length <= rest.count else { return }
            // The two upper bits are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
            values[Int(type & 0x3FFF), default: []].append(rest.dropFirst(4).prefix(length - 4))
            rest = rest.dropFirst((length + 3) & ~3)
        }
    }

    /// Of several with one type the last.
    subscript(_ type: Int) -> ArraySlice<UInt8>? { values[type]?.last }

    func number<Number: FixedWidthInteger & BitwiseCopyable>(_ type: Int, as _: Number.Type, at offset: Int = 0) -> Number? {
        guard let value = self[type], value.count >= offset + MemoryLayout<Number>.size else { return nil }
        return value.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Number.self) }
    }

    func text(_ type: Int) -> String? { self[type].map(Self.text) }

    /// All with this type.
    func texts(_ type: Int) -> [String] { (values[type] ?? []).map(Self.text) }

    private static func text(_ value: ArraySlice<UInt8>) -> String { String(decoding: value.prefix { $0 != 0 }, as: UTF8.self) }

    func nested(_ type: Int) -> NetlinkAttributes? { self[type].map { NetlinkAttributes($0) } }
}
