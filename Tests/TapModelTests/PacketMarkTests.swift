// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import Testing

@Suite("The mark of copies")
struct PacketMarkTests {
    private struct Known {
        var who: String
        var value: UInt32
        var mask: UInt32
    }

    /// The table of docs/reference/configuration.md: who, and the marks with their masks; of a range what lies between its ends, too.
    private func known() throws -> [Known] {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "../../docs/reference/configuration.md")
        let text = try String(contentsOf: file, encoding: .utf8)
        let begin = try #require(text.range(of: "## The mark\n")?.upperBound)
        let end = try #require(text.range(of: "\n## ", range: begin..<text.endIndex)?.lowerBound)
        var known: [Known] = []
        for row in text[begin..<end].split(separator: "\n") where row.hasPrefix("| ") && row.contains("`0x") {
            let cells = row.split(separator: "|").map(String.init)
            let marks = cells[1].split(separator: "`").filter { $0.hasPrefix("0x") }.map { Self.mark(String($0), of: cells[0]) }
            known += marks
            guard cells[1].contains("` to `"), let first = marks.dropLast().last, let last = marks.last else { continue }
            let step = UInt64(1) << UInt64(last.mask.trailingZeroBitCount)
            for value in stride(from: UInt64(first.value), through: UInt64(last.value), by: Int(step)) {
                known.append(Known(who: cells[0], value: UInt32(value), mask: last.mask))
            }
        }
        return known
    }

    private static func mark(_ text: String, of who: String) -> Known {
        let parts = text.split(separator: "/").map { UInt32($0.dropFirst(2), radix: 16) ?? 0 }
        return Known(who: who, value: parts[0], mask: parts.count == 2 ? parts[1] : .max)
    }

    @Test("The default is nobody's of those that docs/reference/configuration.md lists, and none of theirs")
    func defaultIsFree() throws {
        let known = try known()
        #expect(known.count > 1_300)
        // One bit is not enough: NetBird's, for one, have this one.
        #expect(known.contains { $0.value == 0x1bd20 && PacketMark(value: 0x2000, mask: 0x2000).isCarried(by: $0.value) })
        for one in known {
            #expect(!PacketMark().collides(with: one.value, one.mask), "\(one)")
        }
    }

    @Test("No single bit, none that others change in passing, and none of Cilium's identities matches it")
    func isNoBit() {
        let mark = PacketMark()
        #expect(mark.value & ~mark.mask == 0)
        for bit in 0..<32 { #expect(!mark.isCarried(by: 1 << bit) && !mark.isCarried(by: ~(1 << bit))) }
        #expect(mark.mask & (0x80 | 0xef00 | 0xff_0000 | 0x8000_0000) == 0)
        // Identities are in the upper half, and the upper eight of their bits in the lowest byte.
        for nibble in 0..<UInt32(16) {
            for identity in stride(from: UInt32(0), to: 1 << 24, by: 61) {
                #expect(!mark.isCarried(by: (identity & 0xffff) << 16 | nibble << 8 | identity >> 16))
            }
        }
    }

    @Test("What counts as a copy, and which rules of others fit copies")
    func collisions() {
        let bit = PacketMark(value: 0x2000, mask: 0x2000)
        #expect(bit.isCarried(by: 0x1bd20) && bit.isCarried(by: 0x2000) && !bit.isCarried(by: 0x4000))
        #expect(bit.collides(with: 0x1bd20) && bit.collides(with: 0x2000, 0xff00) && !bit.collides(with: 0, 0x2000))
        #expect(!bit.collides(with: 0x4000, 0x4000) && !bit.collides(with: 0x4000))
        let wide = PacketMark(value: 0x1001, mask: 0xf00f)
        #expect(wide.isCarried(by: 0xab1cd1 & 0xff1ff1) && !wide.isCarried(by: 0x1003))
        // A rule for one bit of ours fits copies, though nobody else's frames with that bit match.
        #expect(wide.collides(with: 0x1000, 0x1000) && !wide.isCarried(by: 0x1000))
        #expect(wide.description == "0x1001/0xf00f")
    }
}
