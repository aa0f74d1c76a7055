// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import Synchronization
import TapModel
import TapSystem
import Testing

@testable import TapControl

@Suite("The control socket", .timeLimit(.minutes(3)))
struct ControlServerTests {
    /// Answers each request in a way that shows that it arrived.
    static let echo: ControlServer.Handler = { request in
        switch request {
        case .status: ControlResponse(body: Array("{}".utf8))
        case .ping: ControlResponse()
        case .examine: ControlResponse(body: [1])
        case .purge: ControlResponse(removed: 3)
        case .reload: ControlResponse(error: "not taken", reason: .configStale, lines: ["f.xml:1: a", "f.xml:2: b"])
        case .test(let call): ControlResponse(body: Array("\(call.domain) \(call.tap?.text ?? "all") \(call.token)".utf8))
        case .hook(let call):
            ControlResponse(body: call.xml, hook: HookAnswer(allow: true, message: call.guest, lines: [call.operation, call.extra]))
        }
    }

    private func control(_ sandbox: Sandbox) throws -> ListeningSocket {
        try ListeningSocket.bind(sandbox.directory.controlSocket, access: .control)
    }

    @Test("Every request is answered")
    func requests() async throws {
        let sandbox = try Sandbox()
        try await sandbox.serving([try control(sandbox)], handler: Self.echo) { sandbox in
            let client = ControlClient(path: sandbox.directory.controlSocket)
            #expect(try client.send(.status, within: Sandbox.patience).body == Array("{}".utf8))
            let pong = try client.send(.ping, within: Sandbox.patience)
            #expect(pong.isOK && pong.version == virtTapVersion)
            #expect(try client.send(.purge, within: Sandbox.patience).removed == 3)
            let reload = try client.send(.reload, within: Sandbox.patience)
            #expect(reload.error == "not taken" && reload.reason == .configStale && reload.lines == ["f.xml:1: a", "f.xml:2: b"])
            let domain = DomainUUID("6b3b4ae2-6a3e-4a0c-a1c5-2d8f3f6f6b01")!
            let test = try client.send(.test(TestCall(domain: domain, tap: nil, token: .max)), within: Sandbox.patience)
            #expect(String(decoding: test.body, as: UTF8.self) == "\(domain) all \(UInt64.max)")
            let xml = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0) }
            let call = HookCall(guest: "--help\n\u{1B}", operation: "start", suboperation: "begin", extra: "-", xml: xml)
            let answer = try client.send(.hook(call), within: Sandbox.patience)
            #expect(answer.body == xml)
            #expect(answer.hook == HookAnswer(allow: true, message: "--help\n\u{1B}", lines: ["start", "-"]))
        }
        #expect(access(sandbox.directory.controlSocket, F_OK) != 0, "the file is removed when the server ends")
    }

    @Test("The file is for its owner alone")
    func mode() throws {
        let sandbox = try Sandbox()
        let socket = try control(sandbox)
        var status = stat()
        #expect(stat(sandbox.directory.controlSocket, &status) == 0 && status.st_mode & 0o7777 == 0o600)
        withExtendedLifetime(socket) {}
    }

    @Test("The read-only socket takes only what reads, and no body")
    func statusSocket() async throws {
        let sandbox = try Sandbox()
        let group = SocketGroup(name: "watchers", id: getegid())
        try sandbox.directory.prepare(group: group)
        let listener = try ListeningSocket.bind(sandbox.directory.statusSocket, access: .statusOnly, group: group)
        var status = stat()
        #expect(stat(sandbox.directory.statusSocket, &status) == 0 && status.st_mode & 0o7777 == 0o660 && status.st_gid == getegid())
        #expect(stat(sandbox.directory.path, &status) == 0 && status.st_mode & 0o7777 == 0o710 && status.st_gid == getegid())
        try await sandbox.serving([listener], handler: Self.echo) { sandbox in
            let client = ControlClient(path: sandbox.directory.statusSocket)
            #expect(try client.send(.status, within: Sandbox.patience).isOK)
            #expect(try client.send(.ping, within: Sandbox.patience).isOK)
            let purge = try client.send(.purge, within: Sandbox.patience)
            #expect(purge.reason == .permissionDenied && purge.removed == nil)
            #expect(try client.send(.reload, within: Sandbox.patience).reason == .permissionDenied)
            #expect(try client.send(.examine, within: Sandbox.patience).reason == .permissionDenied)
            let call = HookCall(guest: "g", operation: "start", suboperation: "begin", extra: "-", xml: [])
            #expect(try client.send(.hook(call), within: Sandbox.patience).reason == .permissionDenied)
            let raw = try sandbox.connect(sandbox.directory.statusSocket)
            raw.send(#"{"protocol":1,"request":"status","length":1000}"# + "\n")
            #expect(raw.receiveAll().contains("a body of 1000 bytes is not accepted here"))
        }
    }

    @Test("What is not understood is answered with a sentence")
    func refusals() async throws {
        let sandbox = try Sandbox()
        let expected = [
            (#"{"protocol":1,"request":"dance"}"#, #"knows no request named \"dance\""#),
            (#"{"protocol":7,"version":"8.0","request":"ping"}"#, "(virt-tap 8.0) speaks control protocol 7, this program protocol 1"),
            (#"{"protocol":1}"#, "names no request"),
            (#"{"protocol":1,"request":"hook"}"#, "needs guest and operation"),
            ("GET / HTTP/1.1", "not a JSON object"),
            (#"{"protocol":1,"request":"ping","length":99999999}"#, "at most 16777216"),
        ]
        try await sandbox.serving([try control(sandbox)], handler: Self.echo) { sandbox in
            for (line, sentence) in expected {
                let raw = try sandbox.connect(sandbox.directory.controlSocket)
                raw.send(line + "\n")
                let answer = raw.receiveAll()
                #expect(answer.contains(#""ok":false"#) && answer.contains(sentence), "\(line) -> \(answer)")
            }
            let endless = try sandbox.connect(sandbox.directory.controlSocket)
            endless.send(String(repeating: "x", count: ControlProtocol.maximumHeader))
            #expect(endless.receiveAll().contains("longer than 65536"))
            let short = try sandbox.connect(sandbox.directory.controlSocket)
            short.send(#"{"protocol":1,"request":"hook","guest":"g","operation":"start","length":10}"# + "\nabc")
            short.endSending()
            #expect(short.receiveAll().contains("closed the control socket before"))
            #expect(try ControlClient(path: sandbox.directory.controlSocket).send(.ping, within: Sandbox.patience).isOK)
        }
    }

    @Test("A client that talks another protocol says which")
    func otherServer() async throws {
        let sandbox = try Sandbox()
        let listener = try control(sandbox)
        let number = listener.descriptor.number
        _ = BlockingThread.start {
            var waited = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
            poll(&waited, 1, 5_000)
            let peer = Descriptor(accept(number, nil, nil))
            let line = #"{"protocol":2,"version":"5.0","ok":true,"length":0}"# + "\n"
            _ = Glibc.send(peer.number, line, line.utf8.count, Int32(MSG_NOSIGNAL))
        }
        #expect(throws: ControlError.otherProtocol(2, version: "5.0")) {
            try ControlClient(path: sandbox.directory.controlSocket).send(.ping, within: Sandbox.patience)
        }
    }

    @Test("Slow clients have a time limit and block nobody; one client too many gets an error")
    func slowClients() async throws {
        let sandbox = try Sandbox()
        try await sandbox.serving([try control(sandbox)], handler: Self.echo) { sandbox in
            let path = sandbox.directory.controlSocket
            var silent: [RawClient] = []
            for _ in 0..<(ControlProtocol.maximumClients - 1) { silent.append(try sandbox.connect(path)) }
            silent[0].send("{")
            let begin = ContinuousClock.now
            #expect(try ControlClient(path: path).send(.ping, within: Sandbox.patience).isOK)
            silent.append(try sandbox.connect(path))
            // Until the last of them has been taken in.
            var refused = try ControlClient(path: path).send(.ping, within: Sandbox.patience)
            while refused.isOK, begin.duration(to: .now) < .seconds(30) {
                usleep(20_000)
                refused = try ControlClient(path: path).send(.ping, within: Sandbox.patience)
            }
            #expect(refused.error?.contains("virt-tapd is busy: 32 clients") == true)
            #expect(silent[0].receiveAll().contains("no answer in time"))
            #expect(begin.duration(to: .now) > .seconds(4))
            for client in silent.dropFirst() { _ = client.receiveAll() }
            #expect(try ControlClient(path: path).send(.ping, within: Sandbox.patience).isOK)
        }
    }

    @Test("One byte at a time takes no longer than all at once may")
    func trickle() async throws {
        let sandbox = try Sandbox()
        try await sandbox.serving([try control(sandbox)], handler: Self.echo) { sandbox in
            let raw = try sandbox.connect(sandbox.directory.controlSocket)
            // For ever, were each byte to begin the time anew: the suite's limit ends that.
            while raw.send(" ") == 1 { usleep(50_000) }
        }
    }

    @Test("A client that does not take its answer is given up")
    func unreadAnswer() async throws {
        let sandbox = try Sandbox()
        let handler: ControlServer.Handler = { _ in ControlResponse(body: [UInt8](repeating: 7, count: 8_000_000)) }
        let begin = ContinuousClock.now
        try await sandbox.serving([try control(sandbox)], handler: handler) { sandbox in
            let raw = try sandbox.connect(sandbox.directory.controlSocket)
            raw.send(#"{"protocol":1,"request":"ping"}"# + "\n")
            usleep(200_000)
            #expect(try ControlClient(path: sandbox.directory.controlSocket).send(.ping, within: Sandbox.patience).body.count == 8_000_000)
            withExtendedLifetime(raw) { _ = usleep(5_500_000) }
        }
        #expect(begin.duration(to: .now) < .seconds(60))
    }

    @Test("The client waits no longer than the given time")
    func clientDeadline() async throws {
        let sandbox = try Sandbox()
        let handler: ControlServer.Handler = { _ in
            try? await Task.sleep(for: .seconds(2))
            return ControlResponse()
        }
        try await sandbox.serving([try control(sandbox)], handler: handler) { sandbox in
            let begin = ContinuousClock.now
            #expect {
                try ControlClient(path: sandbox.directory.controlSocket).send(.ping, within: .milliseconds(300))
            } throws: {
                if case .timedOut? = $0 as? ControlError { true } else { false }
            }
            #expect(begin.duration(to: .now) < .seconds(2))
        }
    }

    @Test("Nobody there, or nobody who may")
    func absent() throws {
        let sandbox = try Sandbox()
        let path = sandbox.directory.controlSocket
        #expect(throws: ControlError.notRunning(path: path)) { try ControlClient(path: path).send(.ping, within: .seconds(1)) }
        // A file without a listener, as a killed daemon leaves it.
        leaveStaleSocket(path)
        #expect(throws: ControlError.notRunning(path: path)) { try ControlClient(path: path).send(.ping, within: .seconds(1)) }
    }

    @Test("The file of a dead daemon is replaced, that of a live one is not")
    func staleSocket() throws {
        let sandbox = try Sandbox()
        let path = sandbox.directory.controlSocket
        leaveStaleSocket(path)
        let live = try control(sandbox)
        #expect {
            _ = try ListeningSocket.bind(path, access: .control)
        } throws: {
            "\($0)".contains("somebody listens here already")
        }
        withExtendedLifetime(live) {}
        unlink(path)
        close(open(path, O_CREAT | O_WRONLY, 0o600))
        #expect {
            _ = try ListeningSocket.bind(path, access: .control)
        } throws: {
            "\($0)".contains("not a socket")
        }
    }

    private func leaveStaleSocket(_ path: String) {
        let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        _ = try? SocketAddress.with(path) { bind(number, $0, $1) }
        listen(number, 1)
        close(number)
    }
}
