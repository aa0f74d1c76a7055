// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibmnl
import Glibc
public import TapModel
import TapSystem

/// Notifies of changes to links and addresses of this network namespace, or to routes, rules and neighbours. Has a thread of its own.
///
/// A notification does not say what has changed: messages get lost when there are many, so the listener reads everything again.
/// Changes that come while the listener is busy are one notification.
public final class LinkMonitor: Sendable {
    /// What is listened to.
    public enum Subject: Sendable {
        case links
        /// Routes, rules and neighbours. Neighbours change often on a large host, so this is for those who send to other machines.
        case paths

        /// One bit per multicast group. A kernel that does not know a group ignores its bit.
        fileprivate var groups: UInt32 {
            switch self {
            case .links:
                // NETCONF says when rp_filter changes, which decides from which sources packets are accepted on a device.
                UInt32(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR) | 1 << (RTNLGRP_IPV4_NETCONF.rawValue - 1)
            case .paths:
                // A changed rule or next hop may move packets while no route changes.
                UInt32(RTMGRP_NEIGH | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_RULE)
                    | 1 << (RTNLGRP_IPV6_RULE.rawValue - 1) | 1 << (RTNLGRP_NEXTHOP.rawValue - 1)
            }
        }
    }

    /// An element for each time that something changed; ends after `stop()`.
    public let changes: AsyncStream<Void>

    private let continuation: AsyncStream<Void>.Continuation
    /// An eventfd that ends the thread, which closes it.
    private let stopEvent: CInt

    /// Opens the socket and starts the thread. Needs no privileges.
    /// - Throws: when the kernel gives no socket or no thread.
    public init(_ subject: Subject = .links) throws(Failure) {
        (changes, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        let socket = Glibc.socket(AF_NETLINK, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), NETLINK_ROUTE)
        guard socket >= 0 else { throw Self.failure(errno, subject) }
        var address = sockaddr_nl()
        address.nl_family = UInt16(AF_NETLINK)
        address.nl_groups = subject.groups
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket, $0, socklen_t(MemoryLayout<sockaddr_nl>.size)) }
        }
        // A duplicate, so that stop() cannot write to a descriptor that the thread has closed and somebody else opened.
        let listenerStopEvent = eventfd(0, Int32(EFD_CLOEXEC))
        stopEvent = fcntl(listenerStopEvent, F_DUPFD_CLOEXEC, 3)
        guard bound == 0, stopEvent >= 0 else {
            let number = errno
            for descriptor in [socket, listenerStopEvent, stopEvent] where descriptor >= 0 { close(descriptor) }
            throw Self.failure(number, subject)
        }
        let listener = Listener(socket: socket, stopEvent: listenerStopEvent, continuation: continuation)
        let refusal = BlockingThread.start { listener.run() }
        guard refusal == 0 else {
            close(stopEvent)
            throw Self.failure(refusal, subject)
        }
    }

    private static func failure(_ number: CInt, _ subject: Subject) -> Failure {
        FailureReport.failure(
            KernelError(call: .netlink, number: number),
            "watching \(subject) (until virt-tapd is restarted they are only read at intervals)")
    }

    deinit {
        stop()
        close(stopEvent)
    }

    /// Ends the thread and the stream. May be called more than once.
    public func stop() {
        var one: UInt64 = 1
        _ = write(stopEvent, &one, MemoryLayout<UInt64>.size)
    }
}

private final class Listener: Sendable {
    let socket: CInt
    let stopEvent: CInt
    let continuation: AsyncStream<Void>.Continuation

    init(socket: CInt, stopEvent: CInt, continuation: AsyncStream<Void>.Continuation) {
        self.socket = socket
        self.stopEvent = stopEvent
        self.continuation = continuation
    }

    deinit {
        close(socket)
        close(stopEvent)
        continuation.finish()
    }

    func run() {
        var buffer = [UInt8](repeating: 0, count: 32 * 1_024)
        while true {
            var descriptors = [socket, stopEvent].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            guard poll(&descriptors, 2, -1) >= 0 else {
                if errno == EINTR { continue }
                return
            }
            if descriptors[1].revents != 0 { return }
            // ENOBUFS: messages were lost, which counts as a change.
            var isAlive = true
            while true {
                let count = recv(socket, &buffer, buffer.count, 0)
                if count > 0 || (count < 0 && (errno == EINTR || errno == ENOBUFS)) { continue }
                isAlive = count < 0 && errno == EAGAIN
                break
            }
            continuation.yield()
            if !isAlive { return }
        }
    }
}
