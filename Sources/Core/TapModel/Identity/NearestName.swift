// SPDX-License-Identifier: LGPL-2.1-or-later

/// Finds what somebody probably meant to type.
public enum NearestName {
    /// The nearest of `candidates`: equal but for case, or at most a third of its letters (at least one, at most
    /// three) added, left out, replaced or swapped with a neighbour; `nil` when none is that near.
    public static func of(_ text: String, among candidates: [String]) -> String? {
        guard text.utf8.count <= 64 else { return nil }
        let written = Array(text.lowercased().utf8)
        var best: (name: String, distance: Int)?
        for candidate in candidates {
            let wanted = Array(candidate.lowercased().utf8)
            let distance = self.distance(written, wanted)
            guard distance <= min(3, max(1, wanted.count / 3)), distance < best?.distance ?? Int.max else { continue }
            best = (candidate, distance)
        }
        return best?.name
    }

    /// Optimal string alignment distance: Levenshtein's with swaps of neighbours.
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...right.count)
        for (row, byte) in left.enumerated() {
            var current = [row + 1]
            for (column, other) in right.enumerated() {
                var best = min(last[column + 1] + 1, current[column] + 1, last[column] + (byte == other ? 0 : 1))
                if row > 0, column > 0, byte == right[column - 1], left[row - 1] == other { best = min(best, beforeLast[column - 1] + 1) }
                current.append(best)
            }
            beforeLast = last
            last = current
        }
        return last[right.count]
    }
}
