// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import Synchronization
public import TapModel
import TapSystem

/// Serves the daemon's sockets.
///
/// Each socket has a thread that accepts, and each client has a thread of its own, since these calls block. Only the
/// handler runs as a task. A client that is slow, silent or hostile delays neither other clients nor the daemon:
/// its time, its size and the number of clients per socket are limited.
public final class ControlServer: Sendable {
    public typealias Handler = @Sendable (ControlRequest) async -> ControlResponse

    private let listeners: [ListeningSocket]
    private let handler: Handler
    private let version: String
    private let stopSignal: StopSignal

    /// - Parameters:
    ///   - listeners: bound and listening; the server owns them from now on.
    ///   - handler: makes the response. May be called many times at once. Must limit its own time, since clients do not wait
    ///     for ever.
    /// - Throws: `system` when the process has no descriptor left.
    public init(
        listeners: [ListeningSocket], version: String = virtTapVersion, handler: @escaping Handler
    ) throws(ControlError) {
        self.listeners = listeners
        self.handler = handler
        self.version = version
        stopSignal = try StopSignal()
    }

    /// Serves until `stop`, or until the task is cancelled. Then waits for the clients that are being served, ten
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

    /// Accepts no more clients; `run` returns soon. May be called at any time, by any thread, more than once.
    public func stop() { stopSignal.raise() }
}

/// Accepts clients on one socket, gives each a thread, and waits for all of them at the end.
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

    /// Serves until the stop signal, then waits for the clients. Blocks.
    func serve() {
        while waitForClient() {
            let number = accept(listener.descriptor.number, nil, nil)
            if number >= 0 {
                _ = fcntl(number, F_SETFD, FD_CLOEXEC)
                _ = fcntl(number, F_SETFL, O_NONBLOCK)
                admit(Descriptor(number))
            } else if errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM {
                // The client stays in the queue. Accepting again at once would only use the processor.
                usleep(100_000)
            }
        }
        // A handler that never returns must not keep the daemon from ending.
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

    /// Sends an error. The few hundred bytes fit into the buffer of a fresh socket; otherwise they are lost without waiting.
    private func refuse(_ descriptor: Descriptor) {
        let response = ControlResponse(
            error: "virt-tapd is busy: \(ControlProtocol.maximumClients) clients are being served; try again in a few seconds")
        try? MessageChannel(descriptor: descriptor).send(ControlMessage(response, version: version), before: Deadline(in: .zero))
    }

    private func serve(_ channel: MessageChannel) {
        let response = answer(channel)
        var writing = channel
        // A stop ends waiting for requests, but not the response to one that was carried out.
        writing.stop = nil
        try? writing.send(ControlMessage(response, version: version), before: Deadline(in: ControlProtocol.answerTime))
    }

    private func answer(_ channel: MessageChannel) -> ControlResponse {
        if listener.access == .control {
            guard let peer = PeerCredentials(of: channel.descriptor.number), peer.uid == 0 || peer.uid == geteuid() else {
                return ControlResponse(
                    error: "only root may use control.sock; use status.sock to read the status", reason: .permissionDenied)
            }
        }
        do {
            let isReadOnly = listener.access == .statusOnly
            let message = try channel.receive(before: Deadline(in: ControlProtocol.requestTime)) { !isReadOnly || $0 == 0 }
            let request = try message.request()
            guard !isReadOnly || request.isReadOnly else {
                return ControlResponse(
                    error: "status.sock accepts only requests that read the status; \(request.name) needs root and control.sock",
                    reason: .permissionDenied)
            }
            return BlockingThread.wait { [handler] in await handler(request) }
        } catch {
            return ControlResponse(error: "\(error)")
        }
    }
}

/// Wakes every thread that waits in `poll`, and every later one: a pipe with a byte in it that nobody reads.
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

    /// Becomes readable with `raise`, and stays so.
    var descriptor: Int32 { reading.number }

    func raise() { _ = write(writing.number, "x", 1) }
}
