// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// Addresses of AF_UNIX.
enum SocketAddress {
    /// Calls `body` with the address for a path, or for an abstract name when it begins with `@` or a zero byte.
    static func with<Result>(
        _ path: String, abstract: Bool = false, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) throws(ControlError) -> Result {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(path.utf8)
        if abstract, !bytes.isEmpty { bytes[0] = 0 }
        let room = MemoryLayout.size(ofValue: address.sun_path)
        // A path needs its final zero byte; an abstract name has none and is as long as the length says.
        guard !bytes.isEmpty, bytes.count < room, abstract || !bytes.contains(0) else {
            throw .malformed("invalid socket path \(path.debugDescription): use 1 to \(room - 1) bytes")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let offset = MemoryLayout.offset(of: \sockaddr_un.sun_path) ?? 2
        let length = socklen_t(offset + bytes.count + (abstract ? 0 : 1))
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }

    /// Reads the path that a socket is bound to; `nil` when it is not a socket of AF_UNIX with a path.
    static func path(of descriptor: Int32) -> String? {
        var address = sockaddr_un()
        var length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        let offset = MemoryLayout.offset(of: \sockaddr_un.sun_path) ?? 2
        guard result == 0, address.sun_family == sa_family_t(AF_UNIX), Int(length) > offset else { return nil }
        let bytes = withUnsafeBytes(of: &address.sun_path) { Array($0.prefix(Int(length) - offset).prefix { $0 != 0 }) }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }
}

/// An open file descriptor that is closed with its owner.
final class Descriptor: Sendable {
    let number: Int32

    /// Takes over `number`.
    init(_ number: Int32) { self.number = number }

    deinit { close(number) }

    /// Makes a socket of AF_UNIX that does not block and is closed in executed programs.
    static func unixSocket(_ type: __socket_type) throws(ControlError) -> Descriptor {
        let flags = Int32(bitPattern: type.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let number = socket(AF_UNIX, flags, 0)
        guard number >= 0 else { throw .system(call: "socket", what: "AF_UNIX", errno: errno) }
        return Descriptor(number)
    }
}

/// The process at the other end of a socket: `struct ucred` of unix(7), which Glibc's module does not export.
struct PeerCredentials {
    var pid: pid_t = 0
    var uid: uid_t = 0
    var gid: gid_t = 0

    init?(of descriptor: Int32) {
        var length = socklen_t(MemoryLayout<PeerCredentials>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &self, &length) == 0,
            length == socklen_t(MemoryLayout<PeerCredentials>.size)
        else { return nil }
    }
}
