// SPDX-License-Identifier: LGPL-2.1-or-later
import Synchronization
import TapModel
import Testing

@testable import Hypervisor

/// Runs a source and keeps what it says, so that a test can wait for it.
final class EventLog: Sendable {
    struct TimeOut: Error, CustomStringConvertible {
        var description: String
    }

    private let seen = Mutex<[HypervisorEvent]>([])
    private let finished = Mutex(false)

    var all: [HypervisorEvent] { seen.withLock { $0 } }
    var isFinished: Bool { finished.withLock { $0 } }

    /// How many events there are by now: what a later wait is to look behind.
    var count: Int { seen.withLock { $0.count } }

    /// Runs `source` for as long as `body` takes.
    static func of(_ source: LibvirtDomainSource, _ body: (EventLog) async throws -> Void) async throws {
        let log = EventLog()
        let run = Task { await source.run() }
        let reader = Task {
            for await event in source.events { log.seen.withLock { $0.append(event) } }
            log.finished.withLock { $0 = true }
        }
        let result: Result<Void, any Error>
        do { result = .success(try await body(log)) } catch { result = .failure(error) }
        run.cancel()
        await run.value
        await reader.value
        try result.get()
    }

    /// Waits for an event behind the first `skipped` ones.
    @discardableResult
    func wait(
        _ what: String, after skipped: Int = 0, within limit: Duration = .seconds(20), _ matches: (HypervisorEvent) -> Bool
    ) async throws -> HypervisorEvent {
        let deadline = ContinuousClock.now + limit
        while ContinuousClock.now < deadline {
            if let event = all.dropFirst(skipped).first(where: matches) { return event }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw TimeOut(description: "no \(what) within \(limit); seen: \(all.dropFirst(skipped))")
    }

    func waitForConnected(after skipped: Int = 0, within limit: Duration = .seconds(20)) async throws {
        try await wait("connected", after: skipped, within: limit) { if case .connected = $0 { true } else { false } }
    }

    @discardableResult
    func waitForDisconnected(after skipped: Int = 0, within limit: Duration = .seconds(20)) async throws -> String {
        let event = try await wait("disconnected", after: skipped, within: limit) { if case .disconnected = $0 { true } else { false } }
        guard case .disconnected(why: let why) = event else { return "" }
        return why
    }

    func waitForChange(_ uuid: DomainUUID, _ what: String, after skipped: Int = 0) async throws {
        try await wait("\(what) of \(uuid)", after: skipped) { $0 == .domainChanged(uuid, what: what) }
    }
}
