// SPDX-License-Identifier: LGPL-2.1-or-later
import Glibc

/// Starts a detached thread that may block as long as it likes.
///
/// All signals are blocked in it: SIGTERM and the like go to the threads that expect them, and a write to a libvirtd that
/// has just died ends in EPIPE, which libvirt reports, and not in SIGPIPE, which would end the process. (A dispatch
/// queue's threads leave SIGPIPE open.)
///
/// - Throws: `LibvirtError` when the system has no thread to give.
func startBlockingThread(_ body: @escaping @Sendable () -> Void) throws {
    let start = Unmanaged.passRetained(ThreadStart(body))
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))

    // The new thread inherits the mask, so there is no moment in which it is open to signals.
    var everything = sigset_t()
    var before = sigset_t()
    sigfillset(&everything)
    pthread_sigmask(SIG_SETMASK, &everything, &before)
    var thread = pthread_t()
    let error = pthread_create(&thread, &attributes, threadMain, start.toOpaque())
    pthread_sigmask(SIG_SETMASK, &before, nil)

    guard error == 0 else {
        start.release()
        throw LibvirtError(message: "the system refused a thread for libvirt (errno \(error)); look at the limit on processes")
    }
}

private final class ThreadStart: Sendable {
    let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) {
        self.body = body
    }
}

private func threadMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    let start = Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue()
    start.body()
    return nil
}
