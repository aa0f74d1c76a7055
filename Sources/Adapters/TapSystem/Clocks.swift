// SPDX-License-Identifier: LGPL-2.1-or-later

public import Glibc

/// A moment by which something must be done, on a clock that nobody can set.
///
/// Not the same as a timer of a task: threads that block in poll(2) ask it how long they may still wait.
public struct Deadline: Sendable {
    private let end: ContinuousClock.Instant

    public init(in time: Duration) { end = .now + time }

    public init(at end: ContinuousClock.Instant) { self.end = end }

    /// The time-out for poll(2): the milliseconds that are left, rounded up so that the caller never spins; 0 when the moment has passed.
    public var pollMilliseconds: Int32 {
        let rest = ContinuousClock.now.duration(to: end)
        guard rest > .zero else { return 0 }
        let milliseconds = rest.components.seconds * 1_000 + rest.components.attoseconds / 1_000_000_000_000_000 + 1
        return Int32(clamping: milliseconds)
    }

    public var hasPassed: Bool { ContinuousClock.now >= end }
}

/// The kernel's clocks.
public enum KernelClock {
    /// Reads a clock, such as CLOCK_MONOTONIC or CLOCK_BOOTTIME.
    /// - Returns: nanoseconds since the clock's beginning.
    public static func nanoseconds(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
