// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapModel
import Testing

@testable import TapControl

@Suite("The status socket", .timeLimit(.minutes(1)))
struct StatusSocketTests {
    private func mode(_ path: String) -> mode_t? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o7777 : nil
    }

    @Test("It comes and goes with the configuration")
    func follows() async throws {
        let sandbox = try Sandbox()
        let path = sandbox.directory.statusSocket
        let socket = StatusSocket(in: sandbox.directory, handler: ControlServerTests.echo)
        #expect(await socket.follow(nil) == nil)
        #expect(mode(path) == nil && mode(sandbox.directory.path) == 0o700)
        for _ in 1...2 {
            #expect(await socket.follow("\(getegid())") == nil)
            #expect(mode(path) == 0o660 && mode(sandbox.directory.path) == 0o710)
            let client = ControlClient(path: path)
            #expect(try client.send(.ping, within: .seconds(5)).isOK)
            #expect(try client.send(.purge, within: .seconds(5)).reason == .permissionDenied)
        }
        #expect(await socket.follow(nil) == nil)
        #expect(mode(path) == nil && mode(sandbox.directory.path) == 0o700)
    }

    @Test("A group that is not there is told of, and the directory is root's alone")
    func noGroup() async throws {
        let sandbox = try Sandbox()
        let socket = StatusSocket(in: sandbox.directory, handler: ControlServerTests.echo)
        #expect(await socket.follow("\(getegid())") == nil)
        let failure = await socket.follow("no-such-group")
        #expect(failure?.reason == .statusSocketMissing && failure?.message.contains("groupadd --system") == true)
        #expect(mode(sandbox.directory.statusSocket) == nil && mode(sandbox.directory.path) == 0o700)
        #expect(await socket.follow("\(getegid())") == nil)
        #expect(mode(sandbox.directory.statusSocket) == 0o660)
        #expect(await socket.follow(nil) == nil)
    }

    @Test("Changes that come at once are made one after the other")
    func storm() async throws {
        let sandbox = try Sandbox()
        let socket = StatusSocket(in: sandbox.directory, handler: ControlServerTests.echo)
        await withTaskGroup { group in
            for number in 1...20 { group.addTask { _ = await socket.follow(number % 2 == 0 ? "\(getegid())" : nil) } }
        }
        #expect(await socket.follow("\(getegid())") == nil)
        #expect(try ControlClient(path: sandbox.directory.statusSocket).send(.ping, within: .seconds(5)).isOK)
        #expect(await socket.follow(nil) == nil)
    }
}
