// SPDX-License-Identifier: LGPL-2.1-or-later

/// A table of text whose columns are aligned by the width that a terminal shows.
struct TextTable {
    struct Column {
        var title: String
        var isNumber = false
        /// The column with the lowest number is left out first when the terminal is too narrow; `nil`: always shown.
        var sacrifice: Int?
        /// Whether its cells may be truncated when no further column can be left out.
        var isFlexible = false
    }

    struct Cell {
        var text: String
        var colour: Colour?

        /// - Parameter text: must be printable.
        init(_ text: String, colour: Colour? = nil) {
            self.text = text
            self.colour = colour
        }
    }

    private static let gap = 2
    /// The least width of a flexible column, in columns of the terminal.
    private static let least = 8

    var columns: [Column]
    var rows: [[Cell]] = []

    /// The lines of the table, without newlines and without spaces at their ends.
    func lines(for terminal: Terminal) -> [String] {
        let shown = fitting(terminal.width)
        var narrow = self
        var limits = widths
        if let width = terminal.width {
            for (column, limit) in limitsOfFlexible(shown, to: width) {
                let cells = rows.map { $0[column].text }
                let short = DisplayWidth.truncatedApart(cells, to: limit)
                for row in rows.indices { narrow.rows[row][column].text = short[row] }
                limits[column] = max(limit, short.map(DisplayWidth.of).max() ?? 0)
            }
        }
        let header = narrow.line(columns.map { Cell($0.title, colour: .bold) }, shown, limits, terminal)
        return [header] + narrow.rows.map { narrow.line($0, shown, limits, terminal) }
    }

    /// Narrower limits for flexible columns of a table that is still too wide: the widest one shrinks first.
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
            let text = DisplayWidth.truncated(cells[index].text, to: widths[index])
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

/// The number of columns that a terminal uses for a text.
///
/// Wide characters are those with East_Asian_Width W or F (Unicode Standard Annex #11), by blocks. A rare narrow character in
/// such a block shifts the columns behind it by one, and does no other harm.
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

    /// The text truncated to `width` columns, with `…` at its end if something is missing.
    static func truncated(_ text: String, to width: Int) -> String {
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

    /// The text truncated to `width` columns, with `…` in its middle if something is missing.
    static func truncatedInMiddle(_ text: String, to width: Int) -> String {
        guard of(text) > width, width > 2 else { return truncated(text, to: width) }
        // Names mostly differ at their ends, as `shop-frontend-01` and `shop-frontend-02` do.
        let end = suffix(text, width / 2)
        return truncated(text, to: width - of(end)) + end
    }

    /// The texts truncated to `width` columns each, in such a way that different texts stay different: in the middle, at the front
    /// or at the end. If none of these keeps them apart, more columns are used.
    static func truncatedApart(_ texts: [String], to width: Int) -> [String] {
        let distinct = Set(texts)
        let longest = texts.map(of).max() ?? 0
        for width in width..<max(width + 1, longest) {
            let ways: [(String) -> String] = [
                { truncatedInMiddle($0, to: width) }, { of($0) > width ? "…" + suffix($0, width - 1) : $0 }, { truncated($0, to: width) },
            ]
            for way in ways where Set(distinct.map(way)).count == distinct.count { return texts.map(way) }
        }
        return texts
    }

    /// The last `width` columns of the text.
    private static func suffix(_ text: String, _ width: Int) -> String {
        var used = 0
        let kept = text.unicodeScalars.reversed().prefix { scalar in
            used += of(scalar)
            return used <= width
        }
        return String(String.UnicodeScalarView(kept.reversed()))
    }

    /// The text broken at spaces into lines of at most `width` columns; all but the first begin with `indent`.
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

/// Formats a number of bytes for people.
enum ByteCount {
    private static let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]

    /// For instance `0 B`, `1023 B`, `1.0 KiB`, `15.6 MiB` or `312 GiB`.
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
        // Rounded down, so that the text never says more than was copied.
        return "\(value).\(rest * 10 / 1_024) \(units[unit])"
    }
}
