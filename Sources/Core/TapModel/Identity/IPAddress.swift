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
