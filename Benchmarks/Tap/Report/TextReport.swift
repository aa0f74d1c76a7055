// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// The figures as tables of Markdown, for a terminal and for docs/performance.md.
struct TextReport {
    private let report: Report

    init(_ report: Report) { self.report = report }

    var text: String {
        var lines = ["\(report.machine.date), Linux \(report.machine.kernel), \(report.machine.processors) × \(report.machine.processor)"]
        if !report.deferredWorkIsSeen { lines.append("ksoftirqd's time could not be read and is not in the figures.") }
        for table in paths { lines += [""] + table }
        return lines.joined(separator: "\n")
    }

    /// One table for each path and size.
    private var paths: [[String]] {
        var order: [String] = []
        var groups: [String: [VariantResult]] = [:]
        for result in report.paths {
            let key = "\(result.path), \(TestFrame.all.first { $0.name == result.frame }?.label ?? result.frame)"
            if groups[key] == nil { order.append(key) }
            groups[key, default: []].append(result)
        }
        return order.map { key in
            let rows = (groups[key] ?? []).map { Self.row($0) }
            return ["### \(key)", ""]
                + MarkdownTable(head: ["variant", "", "ns a frame", "quartiles", "adds ns", "to no tap", "quartiles"], rows: rows).lines
        }
    }

    private static func row(_ result: VariantResult) -> [String] {
        let names = [result.variant, result.title]
        if let error = result.error {
            return names + ["cannot be measured here: \(error.split(separator: "\n").first ?? "")", "", "", "", ""]
        }
        guard let time = result.nanoseconds, let ratio = result.ratio else {
            return names + ["does not count: \(result.objections.last ?? "no sample")", "", "", "", ""]
        }
        func whole(_ value: Double) -> String { String(format: "%.0f", value) }
        func fine(_ value: Double) -> String { String(format: "%.3f", value) }
        let thrown = result.objections.isEmpty ? "" : "; \(result.objections.count) of \(result.objections.count + time.count) thrown out"
        return names + [
            whole(time.median), "\(whole(time.lower)) to \(whole(time.upper))\(thrown)", result.added.map { whole($0.median) } ?? "",
            fine(ratio.median), "\(fine(ratio.lower)) to \(fine(ratio.upper))",
        ]
    }
}
