// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// Somebody else who needs RTNL once a millisecond, for next to nothing.
final class RTNLProbe {
    /// Measures how long each use waits while `body` runs.
    func during(_ body: () throws -> Void) throws -> Spread {
        let probing = Probing()
        let thread = Thread { probing.run() }
        thread.start()
        probing.ready.wait()
        defer { probing.stop() }
        try body()
        return Spread(probing.stop())
    }

    private final class Probing: @unchecked Sendable {
        let ready = DispatchSemaphore(value: 0)
        private let ended = DispatchSemaphore(value: 0)
        private let lock = NSLock()
        private var isStopped = false
        private var waits: [Double] = []

        func run() {
            defer { ended.signal() }
            let socket = Glibc.socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
            ready.signal()
            guard socket >= 0 else { return }
            defer { close(socket) }
            var request = ifreq()
            withUnsafeMutableBytes(of: &request.ifr_ifrn) { $0.copyBytes(from: "mon0-far".utf8) }
            // SIOCGIFFLAGS and SIOCSIFFLAGS: the same flags again change nothing, and the kernel sends no notification.
            guard ioctl(socket, 0x8913, &request) == 0 else { return }
            while !lock.withLock({ isStopped }) {
                let took = elapsed { _ = ioctl(socket, 0x8914, &request) }
                lock.withLock { waits.append(took * 1_000) }
                usleep(1_000)
            }
        }

        @discardableResult
        func stop() -> [Double] {
            let isFirst = lock.withLock {
                defer { isStopped = true }
                return !isStopped
            }
            if isFirst { ended.wait() }
            return lock.withLock { waits }
        }
    }
}
