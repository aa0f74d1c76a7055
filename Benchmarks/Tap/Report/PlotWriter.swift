// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// Draws the figures of one path as SVG: a column for each size of frame, a bar for each variant, as long as what it adds
/// to the untapped path; the line through its end reaches from quartile to quartile.
struct PlotWriter {
    private let results: [VariantResult]
    private let frames: [TestFrame]
    private let variants: [VariantResult]
    private let note: String

    private static let (labels, column, gap, row, top) = (330.0, 170.0, 18.0, 20.0, 64.0)
    private static let colours: [Variant.Kind: String] = [.ours: "#2563a8", .peer: "#d9822b", .floor: "#8a8f98"]

    init(_ report: Report, path: String) {
        results = report.paths.filter { $0.path == path && $0.kind != .untapped }
        let measured = Set(results.map(\.frame))
        frames = TestFrame.all.filter { measured.contains($0.name) }
        var seen = Set<String>()
        variants = results.filter { seen.insert($0.variant).inserted }
        note =
            "Processor time per frame, compared with the same path without a tap. \(report.machine.date), Linux \(report.machine.kernel)."
    }

    /// The right end of every column: a tenth beyond the longest bar.
    private var most: Double {
        let longest = results.compactMap { $0.ratio?.upper }.max() ?? 1.5
        return max(1.1, (longest * 10).rounded(.up) / 10)
    }

    func svg() -> String {
        let width = Self.labels + Double(frames.count) * (Self.column + Self.gap) + Self.gap
        let height = Self.top + Double(variants.count) * Self.row + 46
        var lines = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(number(width))\" height=\"\(number(height))\" "
                + "viewBox=\"0 0 \(number(width)) \(number(height))\" font-family=\"sans-serif\" font-size=\"12\">",
            "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>",
            text(12, 22, note, size: 13),
        ]
        for (index, variant) in variants.enumerated() {
            lines.append(text(Self.labels - 10, middle(index) + 4, variant.title, anchor: "end"))
        }
        for (index, frame) in frames.enumerated() {
            lines += panel(frame, left: Self.labels + Double(index) * (Self.column + Self.gap))
        }
        lines += legend(y: height - 12)
        return (lines + ["</svg>", ""]).joined(separator: "\n")
    }

    private func panel(_ frame: TestFrame, left: Double) -> [String] {
        let bottom = Self.top + Double(variants.count) * Self.row
        func x(_ ratio: Double) -> Double { left + max(0, min(1, (ratio - 1) / (most - 1))) * Self.column }
        var lines = [text(left, Self.top - 22, frame.label, weight: "bold")]
        let step = most > 1.6 ? 0.5 : 0.1
        for tick in stride(from: 1, through: most + 0.001, by: step) {
            lines.append(line(x(tick), Self.top - 4, x(tick), bottom, colour: tick == 1 ? "#333333" : "#dddddd"))
            lines.append(text(x(tick), Self.top - 8, String(format: "%.1f", tick), anchor: "middle", size: 10))
        }
        for (index, variant) in variants.enumerated() {
            let result = results.first { $0.frame == frame.name && $0.variant == variant.variant }
            guard let ratio = result?.ratio else {
                lines.append(text(left + 4, middle(index) + 4, "does not count", size: 10))
                continue
            }
            let y = middle(index)
            lines.append(
                "<rect x=\"\(number(left))\" y=\"\(number(y - 6))\" width=\"\(number(max(0.5, x(ratio.median) - left)))\" height=\"12\" "
                    + "fill=\"\(Self.colours[variant.kind] ?? "#000000")\"/>")
            lines.append(line(x(ratio.lower), y, x(ratio.upper), y, colour: "#222222"))
        }
        return lines
    }

    private func legend(y: Double) -> [String] {
        [(Variant.Kind.ours, "virt-tap"), (.peer, "tc"), (.floor, "the least that eBPF can do")].enumerated().flatMap { index, entry in
            let x = Self.labels + Double(index) * 120
            return [
                "<rect x=\"\(number(x))\" y=\"\(number(y - 10))\" width=\"12\" height=\"12\" fill=\"\(Self.colours[entry.0] ?? "")\"/>",
                text(x + 18, y, entry.1),
            ]
        }
    }

    private func middle(_ index: Int) -> Double { Self.top + (Double(index) + 0.5) * Self.row }

    private func number(_ value: Double) -> String { String(format: "%.1f", value) }

    private func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, colour: String) -> String {
        "<line x1=\"\(number(x1))\" y1=\"\(number(y1))\" x2=\"\(number(x2))\" y2=\"\(number(y2))\" stroke=\"\(colour)\"/>"
    }

    private func text(_ x: Double, _ y: Double, _ words: String, anchor: String = "start", size: Int = 12, weight: String = "normal")
        -> String
    {
        let escaped = words.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
            .replacingOccurrences(of: "`", with: "")
        return "<text x=\"\(number(x))\" y=\"\(number(y))\" text-anchor=\"\(anchor)\" font-size=\"\(size)\" font-weight=\"\(weight)\">"
            + "\(escaped)</text>"
    }
}
