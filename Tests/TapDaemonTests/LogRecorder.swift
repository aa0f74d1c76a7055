// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import Synchronization

/// Keeps what is logged.
final class LogRecorder: LogHandler, Sendable {
    private struct State {
        var lines: [(level: Logger.Level, text: String)] = []
    }

    private let state = Mutex(State())

    /// What an operator sees, who asked for nothing more: from `info` on.
    var lines: [String] { state.withLock { $0.lines.filter { $0.level >= .info }.map(\.text) } }
    var debugLines: [String] { state.withLock { $0.lines.filter { $0.level == .debug }.map(\.text) } }

    func forget() { state.withLock { $0.lines = [] } }

    func log(event: LogEvent) { state.withLock { $0.lines.append((event.level, event.message.description)) } }

    // The logger keeps its own.
    var logLevel: Logger.Level {
        get { .debug }
        set {}
    }
    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }
}
