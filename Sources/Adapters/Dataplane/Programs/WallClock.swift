// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
import TapModel
import TapSystem

/// The clock on the wall beside those that programs have, which begin at boot.
enum WallClock {
    /// What another clock lacks of it now: nanoseconds.
    static func lead(over clock: clockid_t) -> Int64 { KernelClock.nanoseconds(CLOCK_REALTIME) &- KernelClock.nanoseconds(clock) }

    /// - Parameter nanoseconds: since boot, as bpf_ktime_get_boot_ns counts them, which goes on while the host sleeps.
    /// - Returns: when that was, by the clock on the wall as it is now.
    static func time(sinceBoot nanoseconds: UInt64) -> Timestamp {
        Timestamp(seconds: (lead(over: CLOCK_BOOTTIME) &+ Int64(clamping: nanoseconds)) / 1_000_000_000)
    }
}
