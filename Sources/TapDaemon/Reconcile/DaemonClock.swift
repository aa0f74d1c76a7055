// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapModel

/// The daemon's two clocks, so that tests can bring their own.
struct DaemonClock: Sendable {
    /// Seconds since an arbitrary moment, never jumping.
    var monotonic: @Sendable () -> Double
    /// Wall-clock time.
    var wall: @Sendable () -> Timestamp

    static let system = DaemonClock(
        monotonic: {
            var time = timespec()
            clock_gettime(CLOCK_MONOTONIC, &time)
            return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
        },
        wall: { Timestamp(seconds: Int64(time(nil))) })
}
