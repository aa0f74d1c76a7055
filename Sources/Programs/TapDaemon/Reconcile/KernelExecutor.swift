// SPDX-License-Identifier: LGPL-2.1-or-later

import Dispatch

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
