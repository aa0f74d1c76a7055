// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

@testable import TapControl

/// A client that keeps to no protocol.
final class RawClient: Sendable {
    private let descriptor: Descriptor

    init(_ path: String) throws {
        let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        descriptor = Descriptor(number)
        let code = try SocketAddress.with(path) { connect(number, $0, $1) == 0 ? 0 : errno }
        guard code == 0 else { throw TestFailure(what: "connect: \(code)") }
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    @discardableResult
    func send(_ text: String) -> Int { send(Array(text.utf8)) }

    @discardableResult
    func send(_ bytes: [UInt8]) -> Int { Glibc.send(descriptor.number, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }

    func endSending() { shutdown(descriptor.number, Int32(SHUT_WR)) }

    /// All that comes until the other side closes, at most ten seconds between two pieces.
    func receiveAll() -> String {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(descriptor.number, &buffer, buffer.count, 0)
            guard count > 0 else { return String(decoding: all, as: UTF8.self) }
            all += buffer[..<count]
        }
    }
}
