// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import Testing

@testable import TapControl

@Suite("systemd's protocols")
struct SystemdTests {
    @Test("A listening socket is adopted, served, and its file left alone")
    func activation() async throws {
        let sandbox = try Sandbox()
        let path = sandbox.directory.controlSocket
        // Two numbers in a row, as systemd gives them, up where nothing else of this process is.
        let number = Self.open(SOCK_STREAM, atLeast: 700)
        #expect(try SocketAddress.with(path) { bind(number, $0, $1) } == 0)
        listen(number, 8)
        let datagram = Self.open(SOCK_DGRAM, atLeast: number + 1)
        try #require(datagram == number + 1)
        let taken = InheritedSocket.adopt(pid: "\(getpid())", count: "2", ownPID: getpid(), from: number)
        #expect(taken == [InheritedSocket(number: number, path: path)])
        #expect(fcntl(number, F_GETFD) == FD_CLOEXEC)
        #expect(fcntl(datagram, F_GETFD) == -1, "what is not ours to use is closed")
        let listeners = try ListeningSocket.sockets(in: sandbox.directory, inherited: taken)
        #expect(listeners.map(\.path) == [path])
        try await sandbox.serving(listeners, handler: ControlServerTests.echo) { sandbox in
            let answer = try ControlClient(path: sandbox.directory.controlSocket).send(.ping, within: Sandbox.patience)
            #expect(answer.isOK)
        }
        #expect(access(path, F_OK) == 0)
    }

    private static func open(_ type: __socket_type, atLeast number: Int32) -> Int32 {
        let low = socket(AF_UNIX, Int32(type.rawValue), 0)
        defer { close(low) }
        return fcntl(low, F_DUPFD, number)
    }

    @Test("A socket for another process is not adopted", arguments: [nil, "", "1", "x"])
    func notForUs(pid: String?) {
        #expect(InheritedSocket.adopt(pid: pid, count: "1", ownPID: getpid(), from: 3).isEmpty)
    }

    @Test("Notifications arrive, at a path and at an abstract name")
    func notifications() throws {
        let sandbox = try Sandbox()
        for name in ["\(sandbox.directory.path)/lock", "@virt-tap-test-\(getpid())"] {
            let receiver = try Descriptor.unixSocket(SOCK_DGRAM)
            #expect(try SocketAddress.with(name, abstract: name.hasPrefix("@")) { bind(receiver.number, $0, $1) } == 0)
            func received() -> String {
                var buffer = [UInt8](repeating: 0, count: 4_096)
                let count = recv(receiver.number, &buffer, buffer.count, 0)
                return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
            }
            let notifier = ServiceNotifier(socket: name)
            notifier.ready()
            #expect(received() == "READY=1")
            notifier.reloading()
            let lines = received().split(separator: "\n")
            #expect(lines.first == "RELOADING=1")
            #expect(lines.last?.hasPrefix("MONOTONIC_USEC=") == true && UInt64(lines.last?.dropFirst(15) ?? "") ?? 0 > 1_000_000)
            notifier.stopping()
            #expect(received() == "STOPPING=1")
        }
    }

    @Test("With nobody to tell, nothing happens")
    func silent() {
        ServiceNotifier(socket: nil).ready()
        ServiceNotifier(socket: "/nonexistent/socket").ready()
        ServiceNotifier(socket: "relative").ready()
    }
}
