// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import Synchronization

/// Counts what a monitor tells.
final class Told: Sendable {
    private let count: Count
    private let listener: Task<Void, Never>

    init(_ monitor: LinkMonitor) {
        let count = Count()
        self.count = count
        listener = Task { for await _ in monitor.changes { count.value.wrappingAdd(1, ordering: .relaxed) } }
    }

    func stop() { listener.cancel() }

    /// Whether it tells of what is done within a second, once it tells of nothing else.
    func isTold(of change: () throws -> Void) async throws -> Bool {
        var before = -1
        while before != now {
            before = now
            try await Task.sleep(for: .milliseconds(150))
        }
        try change()
        for _ in 0..<100 where now == before { try await Task.sleep(for: .milliseconds(10)) }
        return now > before
    }

    private var now: Int { count.value.load(ordering: .relaxed) }

    private final class Count: Sendable {
        let value = Atomic(0)
    }
}
