// SPDX-License-Identifier: LGPL-2.1-or-later

/// Columns of text, aligned by what a terminal shows.
struct TextTable {
    struct Column {
        var title: String
        var isNumber = false
        /// The lower goes first when a terminal is too narrow; `nil`: stays.
        var sacrifice: Int?
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

    var columns: [Column]
    var rows: [[Cell]] = []

    /// The lines, without newlines and without blanks at their ends.
    func lines(for terminal: Terminal) -> [String] {
        let shown = fitting(terminal.width)
        let widths = self.widths
        var limits = widths
        if let width = terminal.width, let first = shown.first {
            // What is still too wide is the names' fault, and the first column's are the longest.
            let rest = shown.dropFirst().reduce(0) { $0 + widths[$1] + Self.gap }
            limits[first] = min(widths[first], max(8, width - rest))
        }
        let header = line(columns.map { Cell($0.title, colour: .bold) }, shown, limits, terminal)
        return [header] + rows.map { line($0, shown, limits, terminal) }
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
