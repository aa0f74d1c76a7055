// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
public import TapModel
import TapSystem

/// Sends requests to the daemon, one per connection. Blocks the calling thread, never longer than the given time.
public struct ControlClient: Sendable {
    private let path: String
    private let version: String

    /// - Parameter path: the daemon's socket, of `RuntimeDirectory`.
    public init(path: String, version: String = virtTapVersion) {
        self.path = path
        self.version = version
    }

    /// Sends a request and waits for the response.
    /// - Parameter time: the limit for everything together: connecting, sending, the daemon's work and receiving.
    /// - Returns: the daemon's answer, which may be a refusal.
    /// - Throws: `notRunning`, `notPermitted`, `timedOut`, `otherProtocol`, or what else kept an answer from coming.
    public func send(_ request: ControlRequest, within time: Duration) throws(ControlError) -> ControlResponse {
        let deadline = Deadline(in: time)
        let message = ControlMessage(request, version: version)
        guard message.body.count <= ControlProtocol.maximumBody else {
            throw .malformed("the message has \(message.body.count) bytes; at most \(ControlProtocol.maximumBody) can be sent")
        }
        let channel = MessageChannel(descriptor: try connect(before: deadline))
        do {
            try channel.send(message, before: deadline)
        } catch .closedEarly {
            // A server that refuses a request before it has read everything responds and closes. Its response is still there to be read.
        }
        return try channel.receive(before: deadline).response()
    }

    private func connect(before deadline: Deadline) throws(ControlError) -> Descriptor {
        let descriptor = try Descriptor.unixSocket(SOCK_STREAM)
        while true {
            switch try SocketAddress.with(path, { Glibc.connect(descriptor.number, $0, $1) == 0 ? 0 : errno }) {
            case 0: return descriptor
            case ENOENT, ECONNREFUSED, ENOTDIR: throw .notRunning(path: path)
            case EACCES, EPERM: throw .notPermitted(path: path, what: "only root may use this socket")
            case EAGAIN:
                // The queue of connections is full. A socket of AF_UNIX does not signal when there is room.
                guard !deadline.hasPassed else { throw .timedOut(what: "connecting to \(path)") }
                usleep(10_000)
            case EINTR: continue
            case let code: throw .system(call: "connect", what: path, errno: code)
            }
        }
    }
}
