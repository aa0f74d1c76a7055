// SPDX-License-Identifier: LGPL-2.1-or-later

/// How many columns a terminal uses.
///
/// Wide characters are those with East_Asian_Width W or F (Unicode Standard Annex #11), by blocks: a rare character in
/// such a block that is narrow costs one column of alignment and nothing else.
enum DisplayWidth {
    private static let wide: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF, 0xA960...0xA97F,
        0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x17000...0x18CFF, 0x1B000...0x1B2FF,
        0x1F300...0x1F64F, 0x1F680...0x1F6FF, 0x1F900...0x1F9FF, 0x20000...0x3FFFD,
    ]

    static func of(_ text: String) -> Int { text.unicodeScalars.reduce(0) { $0 + of($1) } }

    static func of(_ scalar: Unicode.Scalar) -> Int {
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark: return 0
        default: break
        }
        if scalar.value < 0x1100 { return 1 }
        return scalar.properties.isEmojiPresentation || wide.contains { $0.contains(scalar.value) } ? 2 : 1
    }

    /// At most so many columns of the text, with `…` where something was cut.
    static func cut(_ text: String, to width: Int) -> String {
        guard of(text) > width else { return text }
        guard width > 0 else { return "" }
        var kept = String.UnicodeScalarView()
        var used = 0
        for scalar in text.unicodeScalars {
            used += of(scalar)
            if used > width - 1 { break }
            kept.append(scalar)
        }
        return String(kept) + "…"
    }

    /// At most so many columns of the text, with `…` where something was left out in the middle.
    static func abridged(_ text: String, to width: Int) -> String {
        guard of(text) > width, width > 2 else { return cut(text, to: width) }
        // Names differ at their ends more often than not, as `shop-frontend-01` and `shop-frontend-02` do.
        let end = suffix(text, width / 2)
        return cut(text, to: width - of(end)) + end
    }

    /// Each of the texts in at most `width` columns, so that those that differ go on to differ: cut in the middle, at the front or at the
    /// end, whichever tells them apart; where none does, in as many columns more as that takes.
    static func shortened(_ texts: [String], to width: Int) -> [String] {
        let distinct = Set(texts)
        let longest = texts.map(of).max() ?? 0
        for width in width..<max(width + 1, longest) {
            let ways: [(String) -> String] = [
                { abridged($0, to: width) }, { of($0) > width ? "…" + suffix($0, width - 1) : $0 }, { cut($0, to: width) },
            ]
            for way in ways where Set(distinct.map(way)).count == distinct.count { return texts.map(way) }
        }
        return texts
    }

    /// The last columns of the text.
    private static func suffix(_ text: String, _ width: Int) -> String {
        var used = 0
        let kept = text.unicodeScalars.reversed().prefix { scalar in
            used += of(scalar)
            return used <= width
        }
        return String(String.UnicodeScalarView(kept.reversed()))
    }

    /// The text in lines of at most `width` columns, broken at spaces; the second and later ones begin with `indent`.
    static func wrap(_ text: String, to width: Int?, indent: String) -> [String] {
        guard let width, width > indent.utf8.count + 20 else { return [text] }
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ", omittingEmptySubsequences: false).map(String.init) {
            if !line.isEmpty, of(line) + 1 + of(word) > width {
                lines.append(line)
                line = indent + word
            } else {
                line += line.isEmpty && lines.isEmpty ? word : " " + word
            }
        }
        return lines + [line]
    }
}
