// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import Synchronization
public import TapModel
import TapSystem

/// Serves the daemon's sockets.
///
/// Every socket has a thread that accepts and every client one that waits for it, since all of that blocks; only the
/// handler runs as a task. So a client that is slow, silent or hostile keeps neither another one nor the daemon
/// waiting: it has a time limit, a size limit, and a number of places on its own socket only.
public final class ControlServer: Sendable {
    public typealias Handler = @Sendable (ControlRequest) async -> ControlResponse

    private let listeners: [ListeningSocket]
    private let handler: Handler
    private let version: String
    private let stopSignal: StopSignal

    /// - Parameters:
    ///   - listeners: bound and listening; the server owns them from now on.
    ///   - handler: makes the answer. May be called many times at once. The client waits no longer than it wants, so a
    ///     handler bounds its own time.
    /// - Throws: when the process has no descriptor left.
    public init(
        listeners: [ListeningSocket], version: String = virtTapVersion, handler: @escaping Handler
    ) throws(ControlError) {
        self.listeners = listeners
        self.handler = handler
        self.version = version
        stopSignal = try StopSignal()
    }

    /// Serves until `stop`, or until the task is cancelled; then waits for the clients that are being answered, ten
    /// seconds at most, and removes the sockets' files. Call once.
    public func run() async {
        await withTaskCancellationHandler {
            await withTaskGroup { group in
                for listener in listeners {
                    let acceptor = Acceptor(listener: listener, version: version, stop: stopSignal, handler: handler)
                    group.addTask { _ = await BlockingThread.run { acceptor.serve() } }
                }
            }
        } onCancel: {
            stop()
        }
        for listener in listeners { listener.removeFile() }
    }

    /// Takes no more clients; `run` returns soon. May be called at any time, by any thread, more than once.
    public func stop() { stopSignal.raise() }
}

/// Accepts on one socket, gives each client a thread, and knows when all of them are gone.
final class Acceptor: Sendable {
    private let listener: ListeningSocket
    private let version: String
    private let stop: StopSignal
    private let handler: ControlServer.Handler
    private let clients = Mutex(0)

    init(listener: ListeningSocket, version: String, stop: StopSignal, handler: @escaping ControlServer.Handler) {
        self.listener = listener
        self.version = version
        self.stop = stop
        self.handler = handler
    }

    /// Until the signal comes; then waits for the clients. Blocks.
    func serve() {
        while waitForClient() {
            let number = accept(listener.descriptor.number, nil, nil)
            if number >= 0 {
                _ = fcntl(number, F_SETFD, FD_CLOEXEC)
                _ = fcntl(number, F_SETFL, O_NONBLOCK)
                admit(Descriptor(number))
            } else if errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM {
                // The client stays in the queue; asking again at once would only burn the processor.
                usleep(100_000)
            }
        }
        // A handler that never ends must not keep the daemon from ending.
        let deadline = Deadline(in: ControlProtocol.answerTime * 2)
        while clients.withLock({ $0 }) > 0, !deadline.hasPassed { usleep(10_000) }
    }

    /// - Returns: `false` when it is time to stop.
    private func waitForClient() -> Bool {
        var waited = [
            pollfd(fd: listener.descriptor.number, events: Int16(POLLIN), revents: 0),
            pollfd(fd: stop.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        while poll(&waited, 2, -1) < 0, errno == EINTR {}
        return waited[1].revents == 0
    }

    private func admit(_ descriptor: Descriptor) {
        let admitted = clients.withLock { count in
            guard count < ControlProtocol.maximumClients else { return false }
            count += 1
            return true
        }
        guard admitted else { return refuse(descriptor) }
        let refusal = BlockingThread.start { [self] in
            serve(MessageChannel(descriptor: descriptor, stop: stop.descriptor))
            clients.withLock { $0 -= 1 }
        }
        if refusal != 0 {
            clients.withLock { $0 -= 1 }
            refuse(descriptor)
        }
    }

    /// A few hundred bytes into a fresh socket's buffer: it has room, and otherwise they are lost without waiting.
    private func refuse(_ descriptor: Descriptor) {
        let response = ControlResponse(
            error: "virt-tapd is busy: \(ControlProtocol.maximumClients) clients are being served; try again in a few seconds")
        try? MessageChannel(descriptor: descriptor).send(ControlMessage(response, version: version), before: Deadline(in: .zero))
    }

    private func serve(_ channel: MessageChannel) {
        let response = answer(channel)
        var writing = channel
        // A stop ends waiting for requests, not the answer to one that was carried out.
        writing.stop = nil
        try? writing.send(ControlMessage(response, version: version), before: Deadline(in: ControlProtocol.answerTime))
    }

    private func answer(_ channel: MessageChannel) -> ControlResponse {
        if listener.access == .control {
            guard let peer = PeerCredentials(of: channel.descriptor.number), peer.uid == 0 || peer.uid == geteuid() else {
                return ControlResponse(
                    error: "only root may use this socket; status.sock is for reading status", reason: .permissionDenied)
            }
        }
        do {
            let isReadOnly = listener.access == .statusOnly
            let message = try channel.receive(before: Deadline(in: ControlProtocol.requestTime)) { !isReadOnly || $0 == 0 }
            let request = try message.request()
            guard !isReadOnly || request.isReadOnly else {
                return ControlResponse(
                    error: "this socket is for reading status only; \(request.name) needs root and control.sock", reason: .permissionDenied)
            }
            return BlockingThread.wait { [handler] in await handler(request) }
        } catch {
            return ControlResponse(error: "\(error)")
        }
    }
}

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
