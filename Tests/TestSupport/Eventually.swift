// SPDX-License-Identifier: LGPL-2.1-or-later

/// What was waited for did not come in time.
public struct NeverHappened: Error, CustomStringConvertible {
    /// What was waited for, and how long.
    public let description: String

    /// An error that says `description`.
    public init(description: String) { self.description = description }
}

/// Waits until the condition holds, asking again soon at first and then twenty times a second; throws when the time is up, which is
/// long after a busy machine would have done it.
public func eventually(
    _ what: String, within limit: Duration = .seconds(60), _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    var pause = Duration.milliseconds(2)
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw NeverHappened(description: "not within \(limit): \(what)") }
        try await Task.sleep(for: pause)
        pause = min(pause * 2, .milliseconds(50))
    }
}
