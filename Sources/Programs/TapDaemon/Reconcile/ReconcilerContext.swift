// SPDX-License-Identifier: LGPL-2.1-or-later

import Dispatch
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

/// Facts about this process, for status.
struct DaemonIdentity: Sendable {
    var pid: Int32
    /// The libvirt URI in use.
    var uri: String
    /// Whether that is the command line's, whatever the configuration says.
    var isURIFixed = false
    var started: Timestamp
}

/// Where everything happens, one thing at a time, that touches the kernel or the daemon's state.
///
/// An attachment blocks for some 10 ms while the kernel waits for RCU, and no second thread makes that faster, so one
/// serial queue of our own carries it instead of Swift's shared pool.
final class KernelExecutor: SerialExecutor {
    private let queue = DispatchQueue(label: "virt-tapd.kernel", qos: .userInitiated)

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }
}
