// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// Threads that start a child and wait for it: apart from those that run tasks, and each as long as its child lives, which
/// is killed with it.
enum ChildThread {
    private static let stackSize = 512 * 1_024

    /// Runs `body` on a thread of its own and waits for it without blocking the caller's. All signals are blocked in it:
    /// a write to a child that has ended is an error of that write.
    /// - Returns: `nil` when the system has no thread to give.
    static func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value? {
        await withCheckedContinuation { (continuation: CheckedContinuation<Value?, Never>) in
            if !start({ continuation.resume(returning: body()) }) { continuation.resume(returning: nil) }
        }
    }

    private static func start(_ body: @escaping @Sendable () -> Void) -> Bool {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, stackSize)
        // The new thread inherits the mask.
        var (everything, before) = (sigset_t(), sigset_t())
        sigfillset(&everything)
        pthread_sigmask(SIG_SETMASK, &everything, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        let work = Unmanaged.passRetained(ChildWork(body))
        var thread = pthread_t()
        let code = pthread_create(&thread, &attributes, runChildWork, work.toOpaque())
        if code != 0 { work.release() }
        return code == 0
    }
}

private final class ChildWork: Sendable {
    let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

private func runChildWork(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let argument { Unmanaged<ChildWork>.fromOpaque(argument).takeRetainedValue().body() }
    return nil
}
