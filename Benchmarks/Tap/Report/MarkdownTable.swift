// SPDX-License-Identifier: LGPL-2.1-or-later

/// A table of Markdown whose columns are aligned for a terminal.
struct MarkdownTable {
    var head: [String]
    var rows: [[String]]

    var lines: [String] {
        let widths = head.indices.map { column in ([head] + rows).map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
        // What explains why there are no figures may be long.
        let bounded = widths.map { min($0, 90) }
        func line(_ cells: [String]) -> String {
            "| "
                + zip(cells, bounded).map { cell, width in cell + String(repeating: " ", count: max(0, width - cell.count)) }
                .joined(separator: " | ") + " |"
        }
        return [line(head), "|" + bounded.map { String(repeating: "-", count: $0 + 2) }.joined(separator: "|") + "|"] + rows.map(line)
    }
}
