// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
public import TapModel

/// Serves the daemon's sockets.
///
/// Every socket has a thread that accepts and every client one that waits for it, since all of that blocks; only the
/// handler runs as a task. So a client that is slow, silent or hostile keeps neither another one nor the daemon
/// waiting: it has a time limit, a size limit, and a number of places on its own socket only.
public final class ControlServer: Sendable {
    public typealias Handler = @Sendable (ControlRequest) async -> ControlResponse

    private let listeners: [ListeningSocket]
    private let handler: Handler
    private let version: String
    private let stopSignal: StopSignal

    /// - Parameters:
    ///   - listeners: bound and listening; the server owns them from now on.
    ///   - handler: makes the answer. May be called many times at once. The client waits no longer than it wants, so a
    ///     handler bounds its own time.
    /// - Throws: when the process has no descriptor left.
    public init(
        listeners: [ListeningSocket], version: String = virtTapVersion, handler: @escaping Handler
    ) throws(ControlError) {
        self.listeners = listeners
        self.handler = handler
        self.version = version
        stopSignal = try StopSignal()
    }

    /// Serves until `stop`, or until the task is cancelled; then waits for the clients that are being answered, ten
    /// seconds at most, and removes the sockets' files. Call once.
    public func run() async {
        await withTaskCancellationHandler {
            await withTaskGroup { group in
                for listener in listeners {
                    let acceptor = Acceptor(listener: listener, version: version, stop: stopSignal, handler: handler)
                    group.addTask { await BlockingThread.run { acceptor.serve() } }
                }
            }
        } onCancel: {
            stop()
        }
        for listener in listeners { listener.removeFile() }
    }

    /// Takes no more clients; `run` returns soon. May be called at any time, by any thread, more than once.
    public func stop() { stopSignal.raise() }
}
