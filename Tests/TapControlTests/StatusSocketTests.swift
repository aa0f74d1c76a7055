// SPDX-License-Identifier: LGPL-2.1-or-later

import Dispatch
import Glibc
import Synchronization
import TapModel
import Testing

@testable import TapControl

@Suite("The status socket", .timeLimit(.minutes(3)))
struct StatusSocketTests {
    /// One of this process's own, to which it may give files.
    private let own = getgrgid(getegid()).map { String(cString: $0.pointee.gr_name) } ?? "root"

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
            #expect(await socket.follow(own) == nil)
            #expect(mode(path) == 0o660 && mode(sandbox.directory.path) == 0o710)
            #expect(try await sandbox.ask(.ping, at: path).isOK)
            #expect(try await sandbox.ask(.purge, at: path).reason == .permissionDenied)
        }
        #expect(await socket.follow(nil) == nil)
        #expect(mode(path) == nil && mode(sandbox.directory.path) == 0o700)
    }

    @Test("A missing group is reported, and the directory is root's alone")
    func noGroup() async throws {
        let sandbox = try Sandbox()
        let socket = StatusSocket(in: sandbox.directory, handler: ControlServerTests.echo)
        #expect(await socket.follow(own) == nil)
        let failure = await socket.follow("no-such-group")
        #expect(failure?.reason == .statusSocketMissing && failure?.message.contains("groupadd --system") == true)
        #expect(mode(sandbox.directory.statusSocket) == nil && mode(sandbox.directory.path) == 0o700)
        #expect(await socket.follow(own) == nil)
        #expect(mode(sandbox.directory.statusSocket) == 0o660)
        #expect(await socket.follow(nil) == nil)
    }

    @Test("Changes that come at once are made one after the other")
    func storm() async throws {
        let sandbox = try Sandbox()
        let socket = StatusSocket(in: sandbox.directory, handler: ControlServerTests.echo)
        await withTaskGroup { group in
            for number in 1...20 { group.addTask { _ = await socket.follow(number % 2 == 0 ? own : nil) } }
        }
        #expect(await socket.follow(own) == nil)
        #expect(try await sandbox.ask(.ping, at: sandbox.directory.statusSocket).isOK)
        #expect(await socket.follow(nil) == nil)
    }

    /// Looks up what the test lets it, and counts.
    private final class Directory: Sendable {
        let calls = Mutex<[String]>([])
        let answer = DispatchSemaphore(value: 0)

        @Sendable func lookUp(_ name: String) throws(ControlError) -> SocketGroup {
            calls.withLock { $0.append(name) }
            answer.wait()
            guard name != "no-such-group" else { throw .notPermitted(path: "<control group>", what: "this host has no group") }
            return SocketGroup(name: name, id: getegid())
        }
    }

    @Test("A look-up that does not return keeps nobody waiting, and there is one at most")
    func hanging() async throws {
        let (sandbox, directory) = (try Sandbox(), Directory())
        let socket = StatusSocket(
            in: sandbox.directory, patience: .milliseconds(50), lookUp: directory.lookUp, handler: ControlServerTests.echo)
        for _ in 1...40 {
            let failure = await socket.follow("slow")
            #expect(failure?.reason == .statusSocketMissing)
            #expect(failure?.message.contains("the group \"slow\" is still being looked up") == true, "\(failure?.message ?? "none")")
        }
        #expect(await socket.follow("other")?.message.contains("and \"other\" only after it") == true)
        #expect(await socket.follow(nil) == nil, "none is asked for, and none is there")
        await socket.close()
        #expect(directory.calls.withLock { $0 } == ["slow"])
        // Returning after the end it makes no socket.
        directory.answer.signal()
        var changes = socket.changes.makeAsyncIterator()
        await changes.next()
        #expect(mode(sandbox.directory.statusSocket) == nil && mode(sandbox.directory.path) == 0o700)
    }

    @Test("Closing ends waiting for a look-up")
    func closing() async throws {
        let (sandbox, directory) = (try Sandbox(), Directory())
        let socket = StatusSocket(
            in: sandbox.directory, patience: .seconds(3_600), lookUp: directory.lookUp, handler: ControlServerTests.echo)
        async let waiting = socket.follow("slow")
        while directory.calls.withLock({ $0.isEmpty }) { await Task.yield() }
        await socket.close()
        _ = await waiting
        #expect(await socket.follow(own) == nil && mode(sandbox.directory.statusSocket) == nil, "it is closed for good")
        directory.answer.signal()
    }

    @Test("The result of a late look-up is used, and reported once")
    func late() async throws {
        let (sandbox, directory) = (try Sandbox(), Directory())
        let socket = StatusSocket(
            in: sandbox.directory, patience: .milliseconds(50), lookUp: directory.lookUp, handler: ControlServerTests.echo)
        var changes = socket.changes.makeAsyncIterator()
        #expect(await socket.follow("no-such-group")?.message.contains("still being looked up") == true)
        directory.answer.signal()
        await changes.next()
        #expect(await socket.follow("no-such-group")?.message.contains("this host has no group") == true)
        #expect(directory.calls.withLock { $0.count } == 1)
        // The configuration names another one while this one is looked up again.
        #expect(await socket.follow("no-such-group")?.message.contains("still being looked up") == true)
        #expect(await socket.follow(own)?.message.contains("only after it") == true)
        directory.answer.signal()
        directory.answer.signal()
        await changes.next()
        #expect(mode(sandbox.directory.statusSocket) == 0o660, "it is there before anybody asks again")
        #expect(await socket.follow(own) == nil)
        #expect(directory.calls.withLock { $0 } == ["no-such-group", "no-such-group", own])
        await socket.close()
        #expect(mode(sandbox.directory.statusSocket) == nil)
    }
}
