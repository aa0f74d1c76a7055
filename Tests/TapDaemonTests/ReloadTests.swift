// SPDX-License-Identifier: LGPL-2.1-or-later

import Dispatch
import FoundationEssentials
import Logging
import ServiceLifecycle
import TapHost
import TapModel
import Testing

@testable import TapControl
@testable import TapDaemon

/// Reloads beside a look-up of the status socket's group that does not return.
@Suite(.timeLimit(.minutes(1))) struct ReloadTests {
    private static let slow = Bench.configuration.replacing("<virt-tap>", with: "<virt-tap><control group='slow'/>")
    private static let off = slow.replacing("<virt-tap>", with: "<virt-tap><policy taps='no'/>")

    /// A daemon's parts on a file and a directory of their own, where the group is looked up for as long as the test takes.
    private final class Host: Sendable {
        let bench: Bench
        let loader: ConfigurationLoader
        let directory: RuntimeDirectory
        private let end = DispatchSemaphore(value: 0)

        init(patience: Duration) throws {
            let folder = FileManager.default.temporaryDirectory.appending(path: "virt-tap-\(UInt32.random(in: 0 ... .max))")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            (bench, directory) = (try Bench(), RuntimeDirectory(folder.path))
            let lookUp: StatusSocket.LookUp = { [end] name throws(ControlError) in
                end.wait()
                throw .notPermitted(path: name, what: "the test is over")
            }
            loader = ConfigurationLoader(
                file: ConfigurationFile(path: "\(directory.path)/config.xml"), reconciler: bench.reconciler,
                statusSocket: StatusSocket(
                    in: directory, patience: patience, lookUp: lookUp, handler: RequestHandler(reconciler: bench.reconciler).answer))
            try write(ReloadTests.slow)
        }

        /// Ends the look-up and removes the directory. Not in `deinit`, because a task that still holds the host may outlive the process's
        /// last test.
        func close() {
            end.signal()
            try? FileManager.default.removeItem(atPath: directory.path)
        }

        func write(_ text: String) throws { try text.write(toFile: "\(directory.path)/config.xml", atomically: false, encoding: .utf8) }

        var configuration: HostConfiguration {
            get async { await bench.reconciler.configuration.value }
        }
    }

    @Test func aReloadIsAnsweredAndSaysThatTheGroupIsStillLookedUp() async throws {
        let host = try Host(patience: .milliseconds(50))
        defer { host.close() }
        for _ in 1...3 {
            let warnings = try await host.loader.load(.asked)
            #expect(warnings.map(\.reason) == [.statusSocketMissing])
            #expect(warnings.first?.message.contains("the group \"slow\" is still being looked up") == true)
        }
        #expect(await host.bench.reconciler.status().daemon.warnings?.map(\.reason) == [.statusSocketMissing])
        #expect(host.bench.log.lines.count { $0.contains("still being looked up") } == 1, "it is logged once")
        try host.write(Bench.configuration)
        #expect(try await host.loader.load(.asked).isEmpty, "no group, no remark")
        await host.loader.stop()
    }

    @Test func aLaterFileIsInForceWhileOneReloadStillWaits() async throws {
        let host = try Host(patience: .seconds(3_600))
        defer { host.close() }
        let first = Task { try await host.loader.load(.asked) }
        try await eventually("the first one is in force") { await host.configuration.controlGroup == "slow" }
        try host.write(Self.off)
        let second = Task { try await host.loader.load(.asked) }
        try await eventually("the second one is") { await !host.configuration.policy.tapsAllowed }
        // The end waits for neither, and they for nothing more.
        await host.loader.stop()
        _ = try await (first.value, second.value)
    }

    @Test func theServicesEndBesideALookUp() async throws {
        let host = try Host(patience: .seconds(3_600))
        defer { host.close() }
        let server = try ControlServer(
            listeners: ListeningSocket.sockets(in: host.directory, inherited: []),
            handler: RequestHandler(reconciler: host.bench.reconciler, loader: host.loader).answer)
        let notifier = ServiceNotifier(socket: nil)
        let services = ServiceGroup(
            services: [ControlService(server: server, notifier: notifier), ReloadService(loader: host.loader, notifier: notifier)],
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        let running = Task { try await services.run() }
        let asked = Task { try await Self.ask(.reload, of: host, within: .seconds(30)) }
        try await eventually("the file is in force") { await host.configuration.controlGroup == "slow" }
        await services.triggerGracefulShutdown()
        try await running.value
        #expect(try await asked.value.isOK, "who waited has an answer")
    }

    @Test func reloadsThatNobodyWaitsForGiveTheirPlacesBack() async throws {
        let host = try Host(patience: .milliseconds(50))
        defer { host.close() }
        let server = try ControlServer(
            listeners: ListeningSocket.sockets(in: host.directory, inherited: []),
            handler: RequestHandler(reconciler: host.bench.reconciler, loader: host.loader).answer)
        let serving = Task { await server.run() }
        for _ in 1...ControlProtocol.maximumClients + 2 {
            _ = try? await Self.ask(.reload, of: host, within: .milliseconds(5))
        }
        try await eventually("there is a place") { try await Self.ask(.ping, of: host, within: .seconds(5)).isOK }
        #expect(try await Self.ask(.reload, of: host, within: .seconds(30)).lines.first?.contains("still being looked up") == true)
        server.stop()
        await serving.value
        await host.loader.stop()
    }

    /// As the command does, on a thread that may be blocked.
    private static func ask(_ request: ControlRequest, of host: Host, within time: Duration) async throws -> ControlResponse {
        let path = host.directory.controlSocket
        return try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(with: Result { try ControlClient(path: path).send(request, within: time) })
            }
        }
    }
}

/// What is asked for many times at once is done for all together.
@Suite(.timeLimit(.minutes(1))) struct TurnsTests {
    @Test func whoComesWhileOneWaitsJoinsIt() async throws {
        let turns = Turns<Int>()
        let (gate, opener) = AsyncStream<Never>.makeStream()
        let (begins, beginner) = AsyncStream<Void>.makeStream()
        let first = Task {
            await turns.take {
                beginner.finish()
                for await _ in gate {}
                return 0
            }
        }
        for await _ in begins {}
        let others = await turns.adoptAll(10)
        await turns.pass()
        opener.finish()
        #expect(await first.value == 0)
        for other in others { #expect(await other.value == 1, "the first who waited worked for all") }
        #expect(await turns.take { 11 } == 11, "who comes later gets work of its own")
    }
}

extension Turns where Value == Int {
    /// Each begins before this actor does anything else.
    fileprivate func adoptAll(_ count: Int) -> [Task<Int, Never>] { (1...count).map { number in Task { await take { number } } } }

    /// Behind all those in this actor's queue.
    fileprivate func pass() {}
}
