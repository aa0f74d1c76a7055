// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// What was measured, in order, for people and for programs.
struct Figures {
    enum Unit: String {
        case seconds = "s"
        case milliseconds = "ms"
        case megabytes = "MB"
        case percent = "%"
        case count = ""
    }

    private struct Line {
        var what: String
        var value: Double?
        var unit: Unit
        var spread: Spread?
        var ratio: Double?
    }

    private var lines: [Line] = []
    private var peers: [String: Double] = [:]

    /// - Parameters:
    ///   - peer: others may be compared to it under this name.
    ///   - comparedTo: such a name; the ratio stands beside the figure.
    mutating func add(_ what: String, _ value: Double, _ unit: Unit, peer: String? = nil, comparedTo: String? = nil) {
        if let peer { peers[peer] = value }
        lines.append(Line(what: what, value: value, unit: unit, ratio: comparedTo.flatMap { peers[$0] }.map { value / $0 }))
        progress()
    }

    mutating func add(_ what: String, _ spread: Spread) {
        lines.append(Line(what: what, unit: .milliseconds, spread: spread))
        progress()
    }

    /// A run takes minutes: what is known is said at once.
    private func progress() {
        guard let line = lines.last else { return }
        FileHandle.standardError.write(Data("bench-scale: \(line.what): \(Self.text(line))\n".utf8))
    }

    func print() {
        let width = lines.map(\.what.count).max() ?? 0
        for line in lines {
            Swift.print(line.what.padding(toLength: width + 2, withPad: " ", startingAt: 0) + Self.text(line))
        }
    }

    private static func text(_ line: Line) -> String {
        if let spread = line.spread {
            return String(
                format: "median %.2f ms, 99 %% within %.2f, at most %.2f (%d times)", spread.median, spread.percentile99, spread.maximum,
                spread.count)
        }
        let value = String(format: line.unit == .count ? "%.0f" : "%.2f", line.value ?? 0)
        return "\(value) \(line.unit.rawValue)" + (line.ratio.map { String(format: "  (%.2f times the kernel's own)", $0) } ?? "")
    }

    func json() throws -> Data {
        let objects = lines.map { line -> [String: Any] in
            var object: [String: Any] = ["what": line.what, "unit": line.unit.rawValue]
            object["value"] = line.value
            object["ratio"] = line.ratio
            if let spread = line.spread {
                object.merge(["median": spread.median, "p99": spread.percentile99, "max": spread.maximum, "count": spread.count]) { $1 }
            }
            return object
        }
        return try JSONSerialization.data(withJSONObject: objects, options: [.prettyPrinted, .sortedKeys])
    }
}
