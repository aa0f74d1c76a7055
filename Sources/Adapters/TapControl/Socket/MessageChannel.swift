// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapSystem

/// Sends and receives whole messages over a connected socket, each before a deadline. Blocks the calling thread.
struct MessageChannel {
    let descriptor: Descriptor
    /// A descriptor that becomes readable when waiting must stop.
    var stop: Int32?

    /// Receives a message.
    /// - Parameter bodyAllowed: decides by the body's length in bytes whether it is accepted, before it is read.
    func receive(before deadline: Deadline, bodyAllowed: (Int) -> Bool = { _ in true }) throws(ControlError) -> ControlMessage {
        var bytes: [UInt8] = []
        var end: Int?
        while end == nil {
            guard bytes.count < ControlProtocol.maximumHeader else {
                throw .malformed("the header is longer than \(ControlProtocol.maximumHeader) bytes")
            }
            let chunk = try read(min(4_096, ControlProtocol.maximumHeader - bytes.count), before: deadline)
            guard !chunk.isEmpty else { throw .closedEarly }
            end = chunk.firstIndex(of: UInt8(ascii: "\n")).map { bytes.count + $0 }
            bytes += chunk
        }
        let headerEnd = end ?? 0
        let header = try MessageHeader(parsing: Array(bytes[..<headerEnd]))
        let length = header.length ?? 0
        guard bodyAllowed(length) else { throw .malformed("a body of \(length) bytes is not accepted here") }
        var body = Array(bytes[(headerEnd + 1)...])
        while body.count < length {
            let chunk = try read(min(256 * 1_024, length - body.count), before: deadline)
            guard !chunk.isEmpty else { throw .closedEarly }
            body += chunk
        }
        guard body.count == length else { throw .malformed("more bytes came than the header announced") }
        return ControlMessage(header: header, body: body)
    }

    func send(_ message: ControlMessage, before deadline: Deadline) throws(ControlError) {
        let bytes = try message.header.line() + message.body
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor.number, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count >= 0 {
                sent += count
            } else if errno == EPIPE || errno == ECONNRESET {
                throw .closedEarly
            } else if errno == EAGAIN {
                try wait(for: Int16(POLLOUT), before: deadline, what: "sending")
            } else if errno != EINTR {
                throw .system(call: "send", what: "on the control socket", errno: errno)
            }
        }
    }

    /// Reads at least one byte; none at the end.
    private func read(_ count: Int, before deadline: Deadline) throws(ControlError) -> [UInt8] {
        while true {
            // With a peer that always has one more byte ready, `wait` is never called.
            if deadline.hasPassed { throw .timedOut(what: "receiving") }
            var result = 0
            var code: Int32 = 0
            let chunk = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialised in
                result = recv(descriptor.number, buffer.baseAddress, count, 0)
                code = errno
                initialised = max(0, result)
            }
            if result >= 0 { return chunk }
            switch code {
            case EINTR: continue
            case EAGAIN: try wait(for: Int16(POLLIN), before: deadline, what: "waiting for the other side")
            case ECONNRESET: return []
            default: throw .system(call: "recv", what: "on the control socket", errno: code)
            }
        }
    }

    private func wait(for events: Int16, before deadline: Deadline, what: String) throws(ControlError) {
        while true {
            var waited = [pollfd(fd: descriptor.number, events: events, revents: 0)]
            if let stop { waited.append(pollfd(fd: stop, events: Int16(POLLIN), revents: 0)) }
            let count = poll(&waited, nfds_t(waited.count), deadline.pollMilliseconds)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .system(call: "poll", what: "on the control socket", errno: errno) }
            if waited.count > 1, waited[1].revents != 0 { throw .closedEarly }
            if count > 0 { return }
            if deadline.hasPassed { throw .timedOut(what: what) }
        }
    }
}
