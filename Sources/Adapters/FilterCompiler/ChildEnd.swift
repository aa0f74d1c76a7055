// SPDX-License-Identifier: LGPL-2.1-or-later

/// How a child ended, and what it had written by then.
struct ChildEnd: Sendable {
    enum Cause: Hashable, Sendable {
        case exited(Int32)
        case signalled(Int32)
        /// It was killed because its time was up.
        case outOfTime
        /// It was killed because it wrote too much.
        case wroteTooMuch
        /// It was never started: errno, and what of.
        case notStarted(Int32, String)
    }

    var cause: Cause
    var output: [UInt8] = []
    /// Seconds of processor time that it used.
    var processorSeconds = 0.0
}
