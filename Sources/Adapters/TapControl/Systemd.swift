// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapSystem

/// A listening socket that systemd (or another parent) passes to the daemon: sd_listen_fds(3).
public struct InheritedSocket: Hashable, Sendable {
    public let number: Int32
    /// The path that it is bound to, as the kernel reports it.
    public let path: String

    /// The number of the first descriptor that systemd passes.
    private static let first: Int32 = 3

    /// Adopts the sockets that the environment names. Call once, at start, before anything else opens descriptors.
    ///
    /// Sets FD_CLOEXEC on all of them, and removes the variables from the environment so that no child believes that
    /// they are meant for it. Descriptors that are not listening stream sockets of AF_UNIX are closed.
    public static func adoptAll() -> [InheritedSocket] {
        func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
        let sockets = adopt(pid: variable("LISTEN_PID"), count: variable("LISTEN_FDS"), ownPID: getpid(), from: first)
        for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsetenv(name) }
        return sockets
    }

    static func adopt(pid: String?, count: String?, ownPID: pid_t, from first: Int32) -> [InheritedSocket] {
        guard let pid, pid_t(pid) == ownPID, let count = count.flatMap({ Int32($0) }), (1...1_024).contains(count) else { return [] }
        var sockets: [InheritedSocket] = []
        for index in 0..<count {
            let number = first + index
            guard fcntl(number, F_SETFD, FD_CLOEXEC) == 0 else { continue }
            if isListening(number), let path = SocketAddress.path(of: number) {
                sockets.append(InheritedSocket(number: number, path: path))
            } else {
                close(number)
            }
        }
        return sockets
    }

    /// Reads whether it is bound to the file that `path` names, however the path is written.
    func isAt(_ path: String) -> Bool {
        if path == self.path { return true }
        var own = stat()
        var other = stat()
        return lstat(self.path, &own) == 0 && lstat(path, &other) == 0 && own.st_dev == other.st_dev && own.st_ino == other.st_ino
    }

    private static func isListening(_ number: Int32) -> Bool {
        func option(_ name: Int32) -> Int32? {
            var value: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            return getsockopt(number, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
        }
        return option(SO_ACCEPTCONN) == 1 && option(SO_TYPE) == Int32(bitPattern: SOCK_STREAM.rawValue) && option(SO_DOMAIN) == AF_UNIX
    }
}

/// Notifies systemd of the service's state: sd_notify(3). Does nothing when NOTIFY_SOCKET is not set, and ignores errors: they are no reason
/// to stop working.
public struct ServiceNotifier: Sendable {
    private let path: String?

    /// Uses `NOTIFY_SOCKET`.
    public init() {
        self.init(socket: getenv("NOTIFY_SOCKET").map { String(cString: $0) })
    }

    /// - Parameter socket: a path, or `@` and an abstract name; `nil` to notify nobody.
    public init(socket: String?) {
        path = socket.flatMap { $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil }
    }

    /// Says that the control socket is served, or that a reload is done.
    public func ready() { notify(["READY=1"]) }

    /// Says that a reload has begun; `ready` says that it is done. Type=notify-reload requires the time.
    public func reloading() {
        notify(["RELOADING=1", "MONOTONIC_USEC=\(KernelClock.nanoseconds(CLOCK_MONOTONIC) / 1_000)"])
    }

    /// Says that the service is stopping.
    public func stopping() { notify(["STOPPING=1"]) }

    private func notify(_ lines: [String]) {
        guard let path, let descriptor = try? Descriptor.unixSocket(SOCK_DGRAM) else { return }
        let message = Array(lines.joined(separator: "\n").utf8)
        _ = try? SocketAddress.with(path, abstract: path.hasPrefix("@")) {
            sendto(descriptor.number, message, message.count, Int32(MSG_NOSIGNAL), $0, $1)
        }
    }
}
