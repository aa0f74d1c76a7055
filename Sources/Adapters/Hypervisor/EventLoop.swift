// SPDX-License-Identifier: LGPL-2.1-or-later
import CLibvirt
import Glibc

/// libvirt's event loop: one for the process, on a thread of its own, from the first connection to the end of the process.
///
/// It is never stopped. libvirt releases callbacks' contexts from this loop, later than it is told to, so a stopped loop
/// would leak or dangle; and the loop costs nothing while nothing happens.
enum EventLoop {
    /// Starts the loop if it does not run yet. To be called before every opening of a connection: libvirt gives only
    /// those connections keepalive and events that were opened with a loop in place.
    static func ensureRunning() throws {
        try started.get()
    }

    /// How often the loop wakes up with nothing to do, so that it can never block for ever.
    private static let heartbeat: Int32 = 10_000  // milliseconds

    private static let started: Result<Void, any Error> = Result {
        // Without a function of our own libvirt prints every error on standard error, in its own form.
        virSetErrorFunc(nil, ignoreError)
        guard virInitialize() == 0 else { throw LibvirtError.last("start libvirt's library") }
        guard virEventRegisterDefaultImpl() == 0 else { throw LibvirtError.last("register libvirt's event loop") }
        guard virEventAddTimeout(heartbeat, heartbeatPassed, nil, nil) >= 0 else {
            throw LibvirtError.last("add a timer to libvirt's loop")
        }
        try startBlockingThread(runForEver)
    }
}

private func runForEver() {
    while true {
        // An error here would come again at once: it must not take a whole core.
        if virEventRunDefaultImpl() < 0 { usleep(100_000) }
    }
}

private func heartbeatPassed(_ timer: Int32, _ opaque: UnsafeMutableRawPointer?) {}

private func ignoreError(_ opaque: UnsafeMutableRawPointer?, _ error: virErrorPtr?) {}
