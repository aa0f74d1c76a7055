// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// Tells systemd how the service fares: sd_notify(3). Silent when nobody asked, and never an obstacle: an error to
/// tell it is no reason to stop working.
public struct ServiceNotifier: Sendable {
    private let path: String?

    /// Uses `NOTIFY_SOCKET`.
    public init() {
        self.init(socket: getenv("NOTIFY_SOCKET").map { String(cString: $0) })
    }

    /// - Parameter socket: a path, or `@` and an abstract name; `nil`: nobody listens.
    public init(socket: String?) {
        path = socket.flatMap { $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil }
    }

    /// The control socket is served.
    public func ready() { notify(["READY=1"]) }

    /// A reload has begun; `ready` says that it is done. The time is required by Type=notify-reload.
    public func reloading() {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        notify(["RELOADING=1", "MONOTONIC_USEC=\(now.tv_sec * 1_000_000 + now.tv_nsec / 1_000)"])
    }

    public func stopping() { notify(["STOPPING=1"]) }

    private func notify(_ lines: [String]) {
        guard let path, let descriptor = try? Descriptor.unixSocket(SOCK_DGRAM) else { return }
        let message = Array(lines.joined(separator: "\n").utf8)
        _ = try? SocketAddress.with(path, abstract: path.hasPrefix("@")) {
            sendto(descriptor.number, message, message.count, Int32(MSG_NOSIGNAL), $0, $1)
        }
    }
}
