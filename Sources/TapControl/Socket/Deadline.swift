// SPDX-License-Identifier: LGPL-2.1-or-later

/// A moment until which something must be done, on a clock that nobody sets.
struct Deadline: Sendable {
    private let end: ContinuousClock.Instant

    init(in time: Duration) { end = .now + time }

    /// What `poll` wants: milliseconds, rounded up so that it never spins; 0 when the moment has passed.
    var pollMilliseconds: Int32 {
        let rest = ContinuousClock.now.duration(to: end)
        guard rest > .zero else { return 0 }
        let milliseconds = rest.components.seconds * 1_000 + rest.components.attoseconds / 1_000_000_000_000_000 + 1
        return Int32(clamping: milliseconds)
    }

    var hasPassed: Bool { ContinuousClock.now >= end }
}
