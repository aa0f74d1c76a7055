// SPDX-License-Identifier: LGPL-2.1-or-later

/// Bytes as people read them.
enum ByteCount {
    private static let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]

    /// Three digits at least where there are so many: `0 B`, `1023 B`, `1.0 KiB`, `15.6 MiB`, `312 GiB`.
    static func text(_ bytes: UInt64) -> String {
        var value = bytes
        var rest: UInt64 = 0
        var unit = 0
        while value >= 1_024 {
            rest = value % 1_024
            value /= 1_024
            unit += 1
        }
        guard unit > 0, value < 100 else { return "\(value) \(units[unit])" }
        // Cut, not rounded: more was never copied than is shown.
        return "\(value).\(rest * 10 / 1_024) \(units[unit])"
    }
}
