// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
public import TapModel
import TapSystem

/// The read-only socket for the group of `<control group>`, which comes and goes with the configuration.
///
/// Nothing else depends on it: a failure is reported, and all else goes on. A look-up of a group may ask other hosts and cannot be
/// interrupted. So at most one look-up is under way, and nobody waits for it longer than `patience`.
public actor StatusSocket {
    /// Looks a group up. May block without limit.
    public typealias LookUp = @Sendable (String) throws(ControlError) -> SocketGroup

    /// Sends an element when a change is done that took longer than `patience`. The next `follow` returns its outcome.
    public nonisolated let changes: AsyncStream<Void>

    private let directory: RuntimeDirectory
    private let patience: Duration
    private let lookUp: LookUp
    private let handler: ControlServer.Handler
    private let changed: AsyncStream<Void>.Continuation

    private var desired: String?
    private var served: (group: String, server: ControlServer, task: Task<Void, Never>)?
    private var isClosed = false
    /// The task that makes or removes the socket as desired; `nil` when that is done, or has failed.
    private var work: Task<Void, Never>?
    private var timer: Task<Void, Never>?
    /// The group that is being looked up now.
    private var lookedUp: String?
    /// Whether the work has taken longer than `patience`.
    private var isOverdue = false
    /// Why the socket is not as it is desired.
    private var failure: Failure?
    /// The group of overdue work that has ended and whose outcome was not returned yet.
    private var unreported: String??
    private var waiting: [CheckedContinuation<Void, Never>] = []

    /// - Parameters:
    ///   - patience: how long `follow` waits.
    ///   - handler: see `ControlServer`. It gets only requests that change nothing.
    public init(
        in directory: RuntimeDirectory, patience: Duration = .seconds(3),
        lookUp: @escaping LookUp = { name throws(ControlError) in try SocketGroup(named: name) },
        handler: @escaping ControlServer.Handler
    ) {
        (self.directory, self.patience, self.lookUp, self.handler) = (directory, patience, lookUp, handler)
        (changes, changed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Serves the socket for `group`; `nil`: removes it. Goes on with that when it returns before it is done.
    /// - Returns: why the socket is not served, or not yet.
    public func follow(_ group: String?) async -> Failure? {
        isClosed ? nil : await settle(group)
    }

    /// Removes the socket for good, and lets callers of `follow` return. Does not wait for a look-up.
    public func close() async {
        isClosed = true
        release()
        _ = await settle(nil)
    }

    private func settle(_ group: String?) async -> Failure? {
        desired = group
        if let reported = unreported {
            unreported = nil
            if reported == group { return failure }
        }
        // While a group is looked up there is no socket.
        if group == nil, lookedUp != nil { return nil }
        if work == nil { begin() }
        if !isOverdue { await withCheckedContinuation { waiting.append($0) } }
        return work == nil ? failure : Failure(.statusSocketMissing, "no status socket yet: \(delay)")
    }

    private func begin() {
        isOverdue = false
        work = Task {
            var group: String?
            repeat {
                group = desired
                failure = await serve(group)
            } while group != desired
            end(group)
        }
        timer = Task {
            guard (try? await Task.sleep(for: patience)) != nil, !Task.isCancelled else { return }
            isOverdue = true
            release()
        }
    }

    private func end(_ group: String?) {
        work = nil
        timer?.cancel()
        if isOverdue {
            unreported = .some(group)
            changed.yield()
        }
        isOverdue = false
        release()
    }

    private func release() {
        let all = waiting
        waiting = []
        for one in all { one.resume() }
    }

    private var delay: String {
        guard let lookedUp else { return "it is still being made or removed" }
        let text = "the group \(lookedUp.debugDescription) is still being looked up (as nsswitch.conf says)"
        guard desired == lookedUp else {
            return
                "\(text), and \(desired?.debugDescription ?? "nothing") only after it; `systemctl restart virt-tapd` ends the look-up, and taps go on copying"
        }
        return "\(text); the socket is served when it is found"
    }

    private func serve(_ group: String?) async -> Failure? {
        if let group, group == served?.group { return nil }
        if let served {
            served.server.stop()
            await served.task.value
            self.served = nil
        }
        do throws(ControlError) {
            // For root alone at first, in case there is no such group.
            try directory.prepare()
            guard let group, group == desired else { return nil }
            lookedUp = group
            let found = await onThread { [lookUp] () throws(ControlError) in try lookUp(group) }
            lookedUp = nil
            guard group == desired else { return nil }
            guard let found = try found?.get(), let listener = try await open(for: found) else {
                return Failure(
                    .statusSocketMissing,
                    "no status socket: the system has no thread left; raise the limit on processes (TasksMax, LimitNPROC)")
            }
            let server = try ControlServer(listeners: [listener], handler: handler)
            served = (group, server, Task { await server.run() })
            return nil
        } catch {
            return Failure(.statusSocketMissing, "no status socket: \(error)")
        }
    }

    private func open(for group: SocketGroup) async throws(ControlError) -> ListeningSocket? {
        let listener = await onThread { [directory] () throws(ControlError) in
            try directory.prepare(group: group)
            return try ListeningSocket.bind(directory.statusSocket, access: .statusOnly, group: group)
        }
        return try listener?.get()
    }

    /// Makes a blocking call on a thread of its own; `nil` when the system has no thread left.
    private func onThread<Value: Sendable>(
        _ body: @escaping @Sendable () throws(ControlError) -> Value
    ) async -> Result<Value, ControlError>? {
        await BlockingThread.run { Result { () throws(ControlError) in try body() } }
    }
}
