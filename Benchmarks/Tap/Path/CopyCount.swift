// SPDX-License-Identifier: LGPL-2.1-or-later

/// A far end at which copies are counted.
protocol CopyCount {
    /// All since it was made.
    func count() throws -> FarEnd.Count
}
