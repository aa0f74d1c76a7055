// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// The figures as tables of Markdown, for a terminal and for docs/explanation/performance.md.
struct TextReport {
    private let report: Report

    init(_ report: Report) { self.report = report }

    var text: String {
        var lines = ["\(report.machine.date), Linux \(report.machine.kernel), \(report.machine.processors) × \(report.machine.processor)"]
        if report.unit == .instructions {
            lines.append("Instructions and not time: every one counts the same, whatever it waits for.")
        } else if !report.deferredWorkIsSeen {
            lines.append("ksoftirqd's time could not be read: the figures are times on the wall.")
        }
        for table in paths + summaries + filters + chains + guests + aims { lines += [""] + table }
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
                + MarkdownTable(
                    head: ["variant", "", "\(report.unit.rawValue) a frame", "quartiles", "adds", "to no tap", "quartiles"], rows: rows
                ).lines
        }
    }

    /// The JSON has all of it.
    private static func brief(_ reason: String) -> String { String(reason.prefix { $0 != "\n" }) }
    private static func whole(_ value: Double) -> String { String(format: "%.0f", value) }
    private static func fine(_ value: Double) -> String { String(format: "%.3f", value) }
    private static func nanoseconds(_ value: Double?) -> String { value.map { String(format: "%.1f", $0) } ?? "" }

    private var filters: [[String]] {
        guard !report.filters.isEmpty else { return [] }
        let rows = report.filters.map { result -> [String] in
            let frame = result.matches ? "matches" : "rejected"
            if let why = result.error ?? result.objection { return [result.expression, frame, "does not count: \(Self.brief(why))"] }
            return [result.expression, frame] + FilterResult.Program.allCases.map { Self.nanoseconds(result.median($0)) }
                + [result.ratio(to: .c), result.ratio(to: .carefulC)].map { $0.map { String(format: "%.2f", $0.median) } ?? "" }
        }
        let head = ["expression", "frame", "empty", "translated", "C", "careful C", "to C", "to careful C"]
        return [
            ["### filters by themselves, \(report.unit.rawValue) a call; ratios are less the empty one", ""]
                + MarkdownTable(head: head, rows: rows).lines
        ]
    }

    private var chains: [[String]] {
        guard let empty = report.chains.first(where: { $0.variant == "empty" }) else { return [] }
        let rows = report.chains.filter { $0.kind != .untapped }.map { result -> [String] in
            guard let added = result.added else {
                return [result.title, Self.brief(result.error ?? result.objections.last ?? "no sample")]
            }
            let each = Double(FilterChain.length)
            // Less the classifier and an empty program, of the same round.
            let alone = Quartiles(result.pairs(with: empty).map { ($0.own - $0.other) / each })
            return [result.title, Self.nanoseconds(added.median / each), Self.nanoseconds(alone?.median)]
                + [alone.map { "\(Self.nanoseconds($0.lower)) to \(Self.nanoseconds($0.upper))" } ?? ""]
        }
        let head = ["filter that rejects, run by cls_bpf on 64-byte frames", report.unit.rawValue, "less an empty program", "quartiles"]
        return [["### filters on a path, \(FilterChain.length) in a row", ""] + MarkdownTable(head: head, rows: rows).lines]
    }

    private var guests: [[String]] {
        guard !report.guests.isEmpty else { return [] }
        let rows = report.guests.map { result -> [String] in
            guard let reached = Quartiles(result.gigabits), let copies = Quartiles(result.copies) else {
                return [
                    result.variant, result.title, "does not count: \(Self.brief(result.error ?? result.objections.last ?? "no sample"))",
                ]
            }
            let ratio = result.variant == "untapped" ? Quartiles(result.beside) : result.ratio
            let thrown = result.objections.isEmpty ? "" : "; \(result.objections.count) thrown out"
            return [
                result.variant, result.title, String(format: "%.2f", reached.median), Self.whole(copies.median),
                ratio.map { Self.fine($0.median) } ?? "", ratio.map { "\(Self.fine($0.lower)) to \(Self.fine($0.upper))\(thrown)" } ?? "",
            ]
        }
        let head = ["variant", "", "Gbit/s", "copies a second", "to no tap", "quartiles"]
        return [["### TCP from guest to guest", ""] + MarkdownTable(head: head, rows: rows).lines]
    }

    private var aims: [[String]] {
        let aims = Aims(report).all
        guard !aims.isEmpty else { return [] }
        let rows = aims.map { aim in
            [aim.what, String(format: "%.2f", aim.most)]
                + [
                    aim.reached.map { Self.fine($0.median) } ?? "",
                    aim.reached.map { "\(Self.fine($0.lower)) to \(Self.fine($0.upper))" } ?? "",
                ]
                + [aim.verdict]
        }
        return [["### aims", ""] + MarkdownTable(head: ["ratio", "at most", "reached", "quartiles", ""], rows: rows).lines]
    }

    /// All sizes of a path side by side, the ratios alone: what docs/explanation/performance.md shows.
    private var summaries: [[String]] {
        var names = Set<String>()
        return report.paths.map(\.path).filter { names.insert($0).inserted }.map { path in
            let results = report.paths.filter { $0.path == path && $0.kind != .untapped }
            let frames = TestFrame.all.filter { frame in results.contains { $0.frame == frame.name } }
            var seen = Set<String>()
            let rows = results.filter { seen.insert($0.variant).inserted }.map { variant in
                [variant.title]
                    + frames.map { frame in
                        let ratio = results.first { $0.frame == frame.name && $0.variant == variant.variant }?.ratio
                        return ratio.map { String(format: "%.2f (%.2f to %.2f)", $0.median, $0.lower, $0.upper) } ?? "–"
                    }
            }
            return ["### \(path): to no tap", ""] + MarkdownTable(head: [""] + frames.map(\.label), rows: rows).lines
        }
    }

    private static func row(_ result: VariantResult) -> [String] {
        let names = [result.variant, result.title]
        if let error = result.error {
            return names + ["cannot be measured here: \(Self.brief(error))", "", "", "", ""]
        }
        guard let time = result.nanoseconds, let ratio = result.ratio else {
            return names + ["does not count: \(result.objections.last ?? "no sample")", "", "", "", ""]
        }
        let thrown = result.objections.isEmpty ? "" : "; \(result.objections.count) of \(result.objections.count + time.count) thrown out"
        return names + [
            whole(time.median), "\(whole(time.lower)) to \(whole(time.upper))\(thrown)", result.added.map { whole($0.median) } ?? "",
            fine(ratio.median), "\(fine(ratio.lower)) to \(fine(ratio.upper))",
        ]
    }
}
