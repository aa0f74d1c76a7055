// SPDX-License-Identifier: LGPL-2.1-or-later

/// Columns of text, aligned by what a terminal shows.
struct TextTable {
    struct Column {
        var title: String
        var isNumber = false
        /// The lower goes first when a terminal is too narrow; `nil`: stays.
        var sacrifice: Int?
        /// Whether it may be narrower than its cells when nothing is left to sacrifice.
        var isFlexible = false
    }

    struct Cell {
        var text: String
        var colour: Colour?

        /// - Parameter text: printable already.
        init(_ text: String, colour: Colour? = nil) {
            self.text = text
            self.colour = colour
        }
    }

    private static let gap = 2
    /// What a flexible column keeps at least.
    private static let least = 8

    var columns: [Column]
    var rows: [[Cell]] = []

    /// The lines, without newlines and without blanks at their ends.
    func lines(for terminal: Terminal) -> [String] {
        let shown = fitting(terminal.width)
        var narrow = self
        var limits = widths
        if let width = terminal.width {
            for (column, limit) in limitsOfFlexible(shown, to: width) {
                let cells = rows.map { $0[column].text }
                let short = DisplayWidth.shortened(cells, to: limit)
                for row in rows.indices { narrow.rows[row][column].text = short[row] }
                limits[column] = max(limit, short.map(DisplayWidth.of).max() ?? 0)
            }
        }
        let header = narrow.line(columns.map { Cell($0.title, colour: .bold) }, shown, limits, terminal)
        return [header] + narrow.rows.map { narrow.line($0, shown, limits, terminal) }
    }

    /// What is still too wide is the names' fault: the widest of their columns give way first.
    private func limitsOfFlexible(_ shown: [Int], to width: Int) -> [Int: Int] {
        var limits = widths
        var excess = shown.reduce(-Self.gap) { $0 + limits[$1] + Self.gap } - width
        var changed: [Int: Int] = [:]
        while excess > 0 {
            let flexible = shown.filter { columns[$0].isFlexible && limits[$0] > max(Self.least, DisplayWidth.of(columns[$0].title)) }
            guard let widest = flexible.max(by: { limits[$0] < limits[$1] }) else { break }
            limits[widest] -= 1
            excess -= 1
            changed[widest] = limits[widest]
        }
        return changed
    }

    private var widths: [Int] {
        columns.indices.map { index in
            rows.reduce(DisplayWidth.of(columns[index].title)) { max($0, DisplayWidth.of($1[index].text)) }
        }
    }

    private func fitting(_ width: Int?) -> [Int] {
        var shown = Array(columns.indices)
        guard let width else { return shown }
        let widths = self.widths
        while shown.reduce(-Self.gap, { $0 + widths[$1] + Self.gap }) > width {
            guard let victim = shown.filter({ columns[$0].sacrifice != nil }).min(by: { columns[$0].sacrifice! < columns[$1].sacrifice! })
            else { break }
            shown.removeAll { $0 == victim }
        }
        return shown
    }

    private func line(_ cells: [Cell], _ shown: [Int], _ widths: [Int], _ terminal: Terminal) -> String {
        var line = ""
        for index in shown {
            let text = DisplayWidth.cut(cells[index].text, to: widths[index])
            let padding = String(repeating: " ", count: widths[index] - DisplayWidth.of(text))
            let painted = terminal.isColoured ? cells[index].colour?.paint(text) ?? text : text
            if index != shown.first { line += String(repeating: " ", count: Self.gap) }
            if columns[index].isNumber {
                line += padding + painted
            } else {
                line += index == shown.last ? painted : painted + padding
            }
        }
        return String(line.reversed().drop { $0 == " " }.reversed())
    }
}

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

/// Bytes as people read them.
enum ByteCount {
    private static let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]

    /// Three digits at least where there are so many: `0 B`, `1023 B`, `1.0 KiB`, `15.6 MiB`, `312 GiB`.
    static func text(_ bytes: UInt64) -> String {
        var value = bytes
        var rest: UInt64 = 0
        var unit = 0
        while value >= 1_024 {
            rest = value % 1_024
            value /= 1_024
            unit += 1
        }
        guard unit > 0, value < 100 else { return "\(value) \(units[unit])" }
        // Cut, not rounded: more was never copied than is shown.
        return "\(value).\(rest * 10 / 1_024) \(units[unit])"
    }
}
