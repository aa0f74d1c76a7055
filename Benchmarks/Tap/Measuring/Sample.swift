// SPDX-License-Identifier: LGPL-2.1-or-later

/// One batch of frames written to one variant.
struct Sample {
    /// Nanoseconds of the processor for each written frame, and of the clock on the wall.
    var processor: Double
    var wall: Double
    /// Why it does not count: frames or copies are missing, or too many.
    var objection: String?
}
