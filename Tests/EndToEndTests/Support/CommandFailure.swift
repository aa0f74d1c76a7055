// SPDX-License-Identifier: LGPL-2.1-or-later

/// A program that should have succeeded, with all it said.
struct CommandFailure: Error, CustomStringConvertible {
    let result: CommandResult
    /// The time that was up, or nil if it ended by itself.
    let timeout: Duration?

    var description: String {
        let end = timeout.map { "did not end within \($0)" } ?? "ended with \(result.status)"
        return "\(result.arguments.joined(separator: " ")) \(end)\n\(result.text)\n\(result.errorText)"
    }
}
