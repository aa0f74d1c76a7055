// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapModel
import TapSystem

/// Reads what libvirt gives a hook on standard input.
enum HookInput {
    enum Problem: Error, Equatable {
        case tooLong
        case tooSlow
        case unreadable(Int32)
    }

    /// All of it, until the other end closes.
    static func read(_ descriptor: Int32 = 0, before end: ContinuousClock.Instant) throws(Problem) -> [UInt8] {
        var bytes: [UInt8] = []
        let deadline = Deadline(at: end)
        while true {
            guard !deadline.hasPassed else { throw .tooSlow }
            var waited = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&waited, 1, deadline.pollMilliseconds)
            if ready < 0, errno != EINTR { throw .unreadable(errno) }
            guard ready > 0 else { continue }
            var code: Int32 = 0
            var count = 0
            let chunk = [UInt8](unsafeUninitializedCapacity: 256 * 1_024) { buffer, initialised in
                count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                code = errno
                initialised = max(0, count)
            }
            if count < 0, code != EINTR, code != EAGAIN { throw .unreadable(code) }
            if count == 0 { return bytes }
            bytes += chunk
            guard bytes.count <= DomainSnapshot.maximumXML else { throw .tooLong }
        }
    }
}
