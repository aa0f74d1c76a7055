// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// An open file descriptor that is closed with its owner.
final class Descriptor: Sendable {
    let number: Int32

    /// Takes over `number`.
    init(_ number: Int32) { self.number = number }

    deinit { close(number) }

    /// A socket of AF_UNIX, not blocking and not inherited by programs that are executed.
    static func unixSocket(_ type: __socket_type) throws(ControlError) -> Descriptor {
        let flags = Int32(bitPattern: type.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let number = socket(AF_UNIX, flags, 0)
        guard number >= 0 else { throw .system(call: "socket", what: "AF_UNIX", errno: errno) }
        return Descriptor(number)
    }
}
