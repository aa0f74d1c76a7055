// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import Synchronization

/// Threads for calls that block, apart from those that run tasks.
enum BlockingThread {
    /// Enough for this module's calls, and little memory for many clients.
    private static let stackSize = 512 * 1_024

    /// Starts a thread that nobody joins.
    /// - Returns: `false` when the system has none to give; `body` is not called then.
    static func start(_ body: @escaping @Sendable () -> Void) -> Bool {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, stackSize)
        let work = Unmanaged.passRetained(Work(body))
        var thread = pthread_t()
        let code = pthread_create(&thread, &attributes, runWork, work.toOpaque())
        if code != 0 { work.release() }
        return code == 0
    }

    /// Runs `body` on a thread of its own and waits for it without blocking the caller's.
    static func run(_ body: @escaping @Sendable () -> Void) async {
        await withCheckedContinuation { continuation in
            let started = start {
                body()
                continuation.resume()
            }
            if !started { continuation.resume() }
        }
    }

    /// Waits, on a thread that may be blocked, for what a task makes.
    static func wait<Value: Sendable>(_ body: @escaping @Sendable () async -> Value) -> Value? {
        let result = Handover<Value>()
        Task { result.put(await body()) }
        return result.take()
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

/// One value from a task to a thread that blocks for it.
final class Handover<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)
    /// The semaphore stays where it is for as long as this object lives; its functions are thread-safe.
    private nonisolated(unsafe) let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        semaphore = .allocate(capacity: 1)
        sem_init(semaphore, 0, 0)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func put(_ new: Value) {
        value.withLock { $0 = new }
        sem_post(semaphore)
    }

    func take() -> Value? {
        while sem_wait(semaphore) != 0, errno == EINTR {}
        return value.withLock { $0 }
    }
}
