// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// Wakes every thread that waits in `poll`, once and for all: the reading end of a pipe whose writing end gets a byte
/// that nobody takes out.
final class StopSignal: Sendable {
    private let reading: Descriptor
    private let writing: Descriptor

    init() throws(ControlError) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw .system(call: "pipe", what: "for the control server", errno: errno) }
        reading = Descriptor(ends[0])
        writing = Descriptor(ends[1])
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
    }

    /// Readable from the moment of `raise` on.
    var descriptor: Int32 { reading.number }

    func raise() { _ = write(writing.number, "x", 1) }
}
