// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
import TapModel

/// The clock by which programs say when something was: bpf_ktime_get_boot_ns, which goes on while the host sleeps.
enum BootTime {
    /// - Parameter nanoseconds: since boot.
    /// - Returns: when that was, by the clock on the wall as it is now.
    static func wall(_ nanoseconds: UInt64) -> Timestamp {
        Timestamp(seconds: Int64((now(CLOCK_REALTIME) - now(CLOCK_BOOTTIME) + Double(nanoseconds) / 1e9).rounded(.down)))
    }

    private static func now(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
