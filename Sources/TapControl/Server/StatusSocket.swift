// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

/// The read-only socket for the group of `<control group>`, which comes and goes with the configuration.
///
/// Nothing depends on it: what keeps it from being there is told, and all else goes on.
public actor StatusSocket {
    private let directory: RuntimeDirectory
    private let handler: ControlServer.Handler
    private var served: (group: String, server: ControlServer, task: Task<Void, Never>)?
    /// One change after the other: a socket is made when the one before it is gone.
    private var last: Task<Failure?, Never>?

    /// - Parameter handler: see `ControlServer`; the socket lets it see only requests that change nothing.
    public init(in directory: RuntimeDirectory, handler: @escaping ControlServer.Handler) {
        self.directory = directory
        self.handler = handler
    }

    /// Has the socket be there for `group`; `nil`: has it not be there.
    /// - Returns: why it is not there although it is asked for.
    public func follow(_ group: String?) async -> Failure? {
        let before = last
        let task = Task {
            _ = await before?.value
            return await change(to: group)
        }
        last = task
        return await task.value
    }

    private func change(to group: String?) async -> Failure? {
        if group == served?.group { return nil }
        if let served {
            served.server.stop()
            await served.task.value
            self.served = nil
        }
        // Looking a group up may ask other hosts, and so take long.
        let directory = directory
        let (outcome, sink) = AsyncStream<Result<ListeningSocket?, ControlError>>.makeStream()
        await BlockingThread.run { sink.yield(Result { () throws(ControlError) in try Self.open(in: directory, for: group) }) }
        sink.finish()
        for await result in outcome {
            do throws(ControlError) {
                guard let group, let listener = try result.get() else { return nil }
                let server = try ControlServer(listeners: [listener], handler: handler)
                served = (group, server, Task { await server.run() })
                return nil
            } catch {
                return Failure(.statusSocketMissing, "no status socket: \(error)")
            }
        }
        return Failure(.statusSocketMissing, "no status socket: this process can have no more threads")
    }

    private static func open(in directory: RuntimeDirectory, for group: String?) throws(ControlError) -> ListeningSocket? {
        // For root alone, should there be no such group.
        try directory.prepare()
        guard let group else { return nil }
        let found = try SocketGroup(named: group)
        try directory.prepare(group: found)
        return try .bind(directory.statusSocket, access: .statusOnly, group: found)
    }
}
