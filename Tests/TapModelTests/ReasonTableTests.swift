// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import Testing

@Suite("docs/reference/reasons.md")
struct ReasonTableTests {
    /// The rows of the table: code, state, meaning, remedy.
    private func rows() throws -> [[String]] {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../docs/reference/reasons.md")
        return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").filter { $0.hasPrefix("| `") }.map { line in
            line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
    }

    @Test func hasOneRowForEachCodeInTheOrderOfTheEnum() throws {
        #expect(try rows().map { $0[0] } == Reason.allCases.map { "`\($0.rawValue)`" })
    }

    @Test func givesTheStateThatTheCodeHas() throws {
        for (row, reason) in zip(try rows(), Reason.allCases) {
            #expect(row[1].split(separator: ",")[0] == (reason.state?.rawValue ?? "warning"), "\(reason.rawValue)")
        }
    }

    @Test func saysWhatItMeansAndWhatToDo() throws {
        for row in try rows() {
            #expect(row.count == 4)
            #expect(row[2].count > 20 && row[3].count > 10, "\(row[0])")
        }
    }
}
