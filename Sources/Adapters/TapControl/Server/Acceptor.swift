// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import Synchronization
import TapModel
import TapSystem

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
        let started = BlockingThread.start { [self] in
            serve(MessageChannel(descriptor: descriptor, stop: stop.descriptor))
            clients.withLock { $0 -= 1 }
        }
        if !started {
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
                ?? ControlResponse(error: "virt-tapd gave no answer")
        } catch {
            return ControlResponse(error: "\(error)")
        }
    }
}
