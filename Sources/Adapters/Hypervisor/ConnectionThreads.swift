// SPDX-License-Identifier: LGPL-2.1-or-later

import Dispatch
import Synchronization
import TapSystem

/// A few threads for blocking calls of one connection, with one queue.
///
/// Unlike `BlockingThread.run`, which starts a thread per call, the number of threads is fixed, since each stands for one client of libvirtd.
/// There is more than one, since libvirt holds a domain's lock for as long as a hook script of that domain runs: a call that waits for
/// that lock must not keep the others waiting.
final class CallThreads: Sendable {
    /// Gets the number of the thread on which it runs, from 0.
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
                try startThread { self.work(number) }
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

    /// Accepts no more jobs, and ends the threads after the queued ones.
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
        // Each job has one signal, and so has the end of each thread.
        while let job = next() { job(number) }
        let last = state.withLock { state -> Job? in
            state.threads -= 1
            guard state.threads == 0 else { return nil }
            // Released here, since it usually holds the connection, which holds these threads.
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

/// The answer to one call, given by the first of: the thread that made the call, a timer, or a cancelled task.
final class Reply<Value: Sendable>: Sendable {
    private struct State {
        var result: Result<Value, any Error>?
        var continuation: CheckedContinuation<Value, any Error>?
    }

    private let state = Mutex(State())

    /// Whether the answer was given, so that nobody waits for it any more.
    var isGiven: Bool { state.withLock { $0.result != nil } }

    /// Gives the answer.
    /// - Returns: false when an answer was given before; this one is dropped then.
    @discardableResult
    func give(_ result: Result<Value, any Error>) -> Bool {
        let (isFirst, continuation) = state.withLock { state -> (Bool, CheckedContinuation<Value, any Error>?) in
            guard state.result == nil else { return (false, nil) }
            state.result = result
            defer { state.continuation = nil }
            return (true, state.continuation)
        }
        continuation?.resume(with: result)
        return isFirst
    }

    /// Waits for the answer. To be called once.
    /// - Parameter doing: the action, for the message of a time-out, such as `list the domains`.
    /// - Throws: the error that was given; `LibvirtError` after `patience`; `CancellationError`.
    func value(for doing: String, within patience: Duration) async throws -> Value {
        let timer = Task {
            try await Task.sleep(for: patience)
            give(.failure(LibvirtError(message: "cannot \(doing): libvirt has not answered for \(patience); is a hook script hanging?")))
        }
        defer { timer.cancel() }
        return try await withTaskCancellationHandler {
            try await given()
        } onCancel: {
            give(.failure(CancellationError()))
        }
    }

    private func given() async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let ready = state.withLock { state -> Result<Value, any Error>? in
                if state.result == nil { state.continuation = continuation }
                return state.result
            }
            if let ready { continuation.resume(with: ready) }
        }
    }
}

/// Starts a thread that calls libvirt. It has a whole stack, since libvirt and the libraries below it say nothing of their need.
/// - Throws: `LibvirtError` when the system has no thread to give.
func startThread(_ body: @escaping @Sendable () -> Void) throws {
    let error = BlockingThread.start(stackSize: nil, body)
    guard error == 0 else {
        throw LibvirtError(
            message: "cannot start a thread for libvirt: \(ErrorText.of(error)); raise the limit on processes (LimitNPROC, TasksMax)")
    }
}
