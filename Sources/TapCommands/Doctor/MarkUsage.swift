// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// Finds rules of others that match or set the bits of our mark, in what ip, nft and iptables-save print.
enum MarkUsage {
    /// The words in front of a mark, as the three tools write them.
    private static let words: Set<String> = ["fwmark", "mark", "--mark", "--set-mark", "--set-xmark", "--or-mark"]
    private static let between: Set<String> = ["set", "==", "!=", "and", "or", "|", "&", "^", "xor"]

    static func lines(in text: String, using mark: PacketMark) -> [String] {
        text.split(separator: "\n").filter { uses(mark, String($0)) }.map { line in
            String(line.drop { $0 == " " || $0 == "\t" })
        }
    }

    private static func uses(_ mark: PacketMark, _ line: String) -> Bool {
        let tokens = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
        for (index, token) in tokens.enumerated() where words.contains(token) {
            // `meta mark set mark or 0x2000`: all numbers up to the first word that is none of a mark's.
            for candidate in tokens[(index + 1)...] {
                if let (value, mask) = value(candidate) {
                    if value & mask & mark.mask != 0 { return true }
                } else if !between.contains(candidate), !words.contains(candidate), candidate != "ct", candidate != "meta" {
                    break
                }
            }
        }
        return false
    }

    /// `0x2000`, `8192`, `0x2000/0x2000`.
    private static func value(_ text: String) -> (UInt32, UInt32)? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let first = parts.first.flatMap(number), parts.count <= 2 else { return nil }
        guard parts.count == 2 else { return (first, .max) }
        return number(parts[1]).map { (first, $0) }
    }

    private static func number(_ text: Substring) -> UInt32? {
        text.hasPrefix("0x") ? UInt32(text.dropFirst(2), radix: 16) : UInt32(text)
    }
}
