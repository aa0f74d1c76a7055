// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// What the calling thread has used of a processor: however busy the machine is, the same work takes about the same.
enum ProcessorTime {
    static var now: Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    static func of(_ body: () -> Void) -> Duration {
        let start = now
        body()
        return now - start
    }
}
