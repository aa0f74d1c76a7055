// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// A system call of a test's own failed.
public struct CallFailure: Error, CustomStringConvertible {
    public var call: String
    public var number: CInt

    /// Of the call that failed last.
    public init(_ call: String) {
        self.call = call
        number = errno
    }

    public var description: String { "\(call): \(String(cString: strerror(number)))" }
}

/// Waits until the descriptor is readable.
/// - Returns: false when the time has passed.
func isReadable(_ descriptor: CInt, within milliseconds: CInt) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    var count = poll(&entry, 1, milliseconds)
    while count < 0, errno == EINTR { count = poll(&entry, 1, milliseconds) }
    return count > 0 && entry.revents & Int16(POLLIN) != 0
}
