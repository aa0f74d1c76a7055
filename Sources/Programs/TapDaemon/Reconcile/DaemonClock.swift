// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapModel

/// The daemon's clocks, so that tests can bring their own.
struct DaemonClock: Sendable {
    /// Seconds since an arbitrary moment, never jumping.
    var monotonic: @Sendable () -> Double
    /// Wall-clock time.
    var wall: @Sendable () -> Timestamp
    /// Seconds of processor time that the calling thread has used.
    var processor: @Sendable () -> Double

    static let system = DaemonClock(
        monotonic: { seconds(CLOCK_MONOTONIC) }, wall: { Timestamp(seconds: Int64(time(nil))) },
        processor: { seconds(CLOCK_THREAD_CPUTIME_ID) })

    private static func seconds(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
