// SPDX-License-Identifier: LGPL-2.1-or-later

/// Finds what somebody meant to write.
public enum NearestName {
    /// The candidate that differs least from `text`, if it differs by no more than a third of its length (at least one edit,
    /// at most three). Names longer than 64 bytes are not compared.
    public static func of(_ text: String, among candidates: some Sequence<String>) -> String? {
        let limit = min(3, max(1, text.utf8.count / 3))
        guard text.utf8.count <= 64 else { return nil }
        var best: (name: String, distance: Int)?
        for candidate in candidates where candidate.utf8.count <= 64 {
            let distance = editDistance(Array(text.utf8), Array(candidate.utf8))
            if distance <= limit, distance < best?.distance ?? Int.max { best = (candidate, distance) }
        }
        return best?.name
    }

    /// Optimal string alignment: insertions, deletions, substitutions, and exchanges of neighbours count one each.
    private static func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var beforePrevious: [Int] = []
        var previous = Array(0...b.count)
        for i in 0..<a.count {
            var current = [i + 1]
            for j in 0..<b.count {
                var value = min(previous[j + 1] + 1, current[j] + 1, previous[j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { value = min(value, beforePrevious[j - 1] + 1) }
                current.append(value)
            }
            beforePrevious = previous
            previous = current
        }
        return previous[b.count]
    }
}
