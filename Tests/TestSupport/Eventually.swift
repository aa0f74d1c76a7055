// SPDX-License-Identifier: LGPL-2.1-or-later

/// What was waited for did not come in time.
struct NeverHappened: Error, CustomStringConvertible {
    let description: String
}

/// Waits until the condition holds, asking again at short intervals; throws when the time is up, which is long after a busy machine
/// would have done it.
func eventually(
    _ what: String, within limit: Duration = .seconds(60), _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw NeverHappened(description: "not within \(limit): \(what)") }
        try await Task.sleep(for: .milliseconds(50))
    }
}
