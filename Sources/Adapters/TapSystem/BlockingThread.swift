// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import Synchronization

/// Threads for calls that block, apart from those that run tasks.
///
/// All signals are blocked in them. SIGTERM and the like go to the threads that expect them, and a write to a peer that has ended fails
/// with EPIPE, which the caller reports, instead of SIGPIPE, which would end the process. (A dispatch queue's threads leave SIGPIPE open.)
public enum BlockingThread {
    /// Enough for calls of the system and little memory for many clients, in bytes.
    public static let smallStack = 512 * 1_024

    /// Starts a thread that nobody joins. It may block as long as it likes.
    /// - Parameter stackSize: in bytes; `nil` for the system's default, which libraries that say nothing of their need can count on.
    /// - Returns: 0; or the error number when the system has no thread to give, and `body` is not called then.
    public static func start(stackSize: Int? = smallStack, _ body: @escaping @Sendable () -> Void) -> CInt {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        if let stackSize { pthread_attr_setstacksize(&attributes, stackSize) }
        // The new thread inherits the mask, so there is no moment in which it is open to signals.
        var (everything, before) = (sigset_t(), sigset_t())
        sigfillset(&everything)
        pthread_sigmask(SIG_SETMASK, &everything, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        let work = Unmanaged.passRetained(Work(body))
        var thread = pthread_t()
        let code = pthread_create(&thread, &attributes, runWork, work.toOpaque())
        if code != 0 { work.release() }
        return code
    }

    /// Runs `body` on a thread of its own and waits for it without blocking the caller's.
    /// - Returns: what `body` returns; `nil` when the system has no thread to give.
    public static func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value? {
        await withCheckedContinuation { (continuation: CheckedContinuation<Value?, Never>) in
            if start({ continuation.resume(returning: body()) }) != 0 { continuation.resume(returning: nil) }
        }
    }

    /// Waits, on a thread that may be blocked, for the value that a task makes.
    public static func wait<Value: Sendable>(for body: @escaping @Sendable () async -> Value) -> Value {
        let handover = Handover<Value>()
        Task { handover.give(await body()) }
        return handover.wait()
    }
}

/// Hands one value from a task to a thread that blocks until the value is there.
private final class Handover<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)
    /// The semaphore stays at one address for as long as this object lives; its functions are thread-safe.
    private nonisolated(unsafe) let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        semaphore = .allocate(capacity: 1)
        sem_init(semaphore, 0, 0)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func give(_ new: Value) {
        value.withLock { $0 = new }
        sem_post(semaphore)
    }

    func wait() -> Value {
        while true {
            while sem_wait(semaphore) != 0, errno == EINTR {}
            if let value = value.withLock({ $0 }) { return value }
        }
    }
}

private final class Work: Sendable {
    let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

private func runWork(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let argument { Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body() }
    return nil
}
