// SPDX-License-Identifier: LGPL-2.1-or-later

/// Attributes by type; of several with one type the last. Nested ones are read when asked for.
struct NetlinkAttributes {
    private var values: [Int: ArraySlice<UInt8>] = [:]

    /// `struct nlattr`: 16 bits of length, header included, 16 bits of type, then the value; all at multiples of 4.
    init(_ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        while rest.count >= 4 {
            let (length, type) = rest.withUnsafeBytes {
                (Int($0.loadUnaligned(as: UInt16.self)), Int32($0.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
            }
            guard length >= 4, length <= rest.count else { return }
            // The two upper bits are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
            values[Int(type & 0x3FFF)] = rest.dropFirst(4).prefix(length - 4)
            rest = rest.dropFirst((length + 3) & ~3)
        }
    }

    subscript(_ type: Int) -> ArraySlice<UInt8>? { values[type] }

    func number<Number: FixedWidthInteger & BitwiseCopyable>(_ type: Int, as _: Number.Type, at offset: Int = 0) -> Number? {
        guard let value = values[type], value.count >= offset + MemoryLayout<Number>.size else { return nil }
        return value.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Number.self) }
    }

    func text(_ type: Int) -> String? {
        values[type].map { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    func nested(_ type: Int) -> NetlinkAttributes? { values[type].map { NetlinkAttributes($0) } }
}
