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
