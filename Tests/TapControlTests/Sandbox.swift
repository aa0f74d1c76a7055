// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapModel
import TapSystem

@testable import TapControl

/// A runtime directory of a test's own, and the server on it.
final class Sandbox: Sendable {
    let directory: RuntimeDirectory
    /// How long a client waits for an answer that will come: long, since the machine may have much else to do.
    static let patience = Duration.seconds(60)

    init() throws {
        var template = Array("/tmp/virt-tap-test.XXXXXX".utf8CString)
        let path = try present(mkdtemp(&template).map { String(cString: $0) }, "a temporary directory")
        directory = RuntimeDirectory(path)
    }

    deinit {
        for name in ["control.sock", "status.sock", "lock"] { unlink("\(directory.path)/\(name)") }
        rmdir(directory.path)
    }

    /// Runs `body` while a server with `handler` listens, and waits until the server has ended.
    func serving(
        _ listeners: [ListeningSocket], version: String = virtTapVersion, handler: @escaping ControlServer.Handler,
        _ body: @escaping @Sendable (Sandbox) throws -> Void
    ) async throws {
        let server = try ControlServer(listeners: listeners, version: version, handler: handler)
        let serving = Task { await server.run() }
        defer { server.stop() }
        let result = await Self.blocking { try body(self) }
        server.stop()
        await serving.value
        try result.get()
    }

    /// Asks whoever listens at `path`.
    func ask(_ request: ControlRequest, at path: String) async throws -> ControlResponse {
        try await Self.blocking { try ControlClient(path: path).send(request, within: Self.patience) }.get()
    }

    /// A client's calls block, so they are kept off the cooperative pool, as a program does: who answers may need that.
    private static func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async -> Result<Value, any Error> {
        await withCheckedContinuation { continuation in
            _ = BlockingThread.start { continuation.resume(returning: Result { try body() }) }
        }
    }

    /// A connection that sends what it likes.
    func connect(_ path: String) throws -> RawClient { try RawClient(path) }
}

struct TestFailure: Error { var what: String }

func present<Value>(_ value: Value?, _ what: String) throws -> Value {
    guard let value else { throw TestFailure(what: "no \(what)") }
    return value
}
