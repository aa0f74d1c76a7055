// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import Synchronization

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
