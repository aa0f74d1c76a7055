// SPDX-License-Identifier: LGPL-2.1-or-later
import Dispatch
import Synchronization

/// A few threads for calls that block, with one queue before them.
///
/// One connection has its own. More than one thread, since libvirt holds a domain's lock while a hook script of that
/// domain runs, for as long as it takes: a call that waits for that lock must not keep the others waiting.
final class CallThreads: Sendable {
    /// Told which of the threads it runs on, from 0.
    typealias Job = @Sendable (Int) -> Void

    private struct State {
        var jobs: [Job] = []
        var isStopping = false
        var threads = 0
        var last: Job?
    }

    private let state = Mutex(State())
    private let waiting = DispatchSemaphore(value: 0)

    /// - Parameter count: threads, 1 to 4.
    /// - Throws: `LibvirtError` when the system has not even one thread to give.
    init(count: Int) throws {
        for number in 0..<count {
            state.withLock { $0.threads += 1 }
            do {
                try startBlockingThread { self.work(number) }
            } catch {
                state.withLock { $0.threads -= 1 }
                if number == 0 { throw error }
            }
        }
    }

    /// Hands a job to the next free thread.
    /// - Returns: false after `stop`; the job will not run.
    func submit(_ job: @escaping Job) -> Bool {
        let accepted = state.withLock { state -> Bool in
            if state.isStopping { return false }
            state.jobs.append(job)
            return true
        }
        if accepted { waiting.signal() }
        return accepted
    }

    /// Takes no more jobs; ends the threads after those that are queued.
    /// - Parameter last: run by the last thread to end, when no other job runs any more. Not run if this was called before.
    func stop(last: @escaping Job = { _ in }) {
        let threads = state.withLock { state -> Int in
            if state.isStopping { return 0 }
            state.isStopping = true
            state.last = last
            return state.threads
        }
        for _ in 0..<threads { waiting.signal() }
    }

    private func work(_ number: Int) {
        // Every job and every thread's end has one signal of its own.
        while let job = next() { job(number) }
        let last = state.withLock { state -> Job? in
            state.threads -= 1
            guard state.threads == 0 else { return nil }
            // Let go of: it usually holds the connection, which holds these threads.
            defer { state.last = nil }
            return state.last
        }
        last?(number)
    }

    private func next() -> Job? {
        waiting.wait()
        return state.withLock { $0.jobs.isEmpty ? nil : $0.jobs.removeFirst() }
    }
}
