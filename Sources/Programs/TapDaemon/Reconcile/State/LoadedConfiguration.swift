// SPDX-License-Identifier: LGPL-2.1-or-later

import TapHost
import TapModel

/// The configuration in force and how it came to be.
struct LoadedConfiguration: Sendable {
    let path: String
    /// The defaults while there is no configuration: they say nothing of what this host wants.
    private(set) var value: HostConfiguration
    /// When it was read; `nil`: there is none, since the file could not be used when the daemon started, nor since.
    private(set) var loaded: Timestamp?
    /// Why the file as it is now was not loaded; the configuration before it stays in force, if there was one.
    private(set) var problem: ConfigurationFileError?
    /// Whether `purge --now` holds all work until somebody asks for a reload.
    private(set) var isPaused = false
    /// Counts changes of what is in force.
    private(set) var generation = 0

    /// - Parameter time: when the file was read.
    init(path: String, _ result: Result<HostConfiguration, ConfigurationFileError>, at time: Timestamp) {
        self.path = path
        switch result {
        case .success(let value):
            self.value = value
            loaded = time
        case .failure(let error):
            value = HostConfiguration()
            problem = error
        }
    }

    /// Puts a configuration in force that was read at `time`.
    mutating func replace(_ new: HostConfiguration, at time: Timestamp) {
        (value, loaded, problem) = (new, time, nil)
        generation += 1
    }

    /// Notes that the file as it is now cannot be used. - Returns: whether that is news.
    mutating func reject(_ error: ConfigurationFileError) -> Bool {
        defer { problem = error }
        return problem != error
    }

    /// Holds all work.
    mutating func pause() {
        isPaused = true
        generation += 1
    }

    /// Ends a pause. - Returns: whether there was one.
    mutating func resume() -> Bool {
        defer { isPaused = false }
        return isPaused
    }

    /// How long the daemon waits, in seconds, until it reads a file again that cannot be used while nothing else is in force.
    static let retryInterval = 5.0

    /// Why nothing is known of what this host wants; `nil`: it is.
    var missing: Failure? {
        guard loaded == nil else { return nil }
        let lines = problem?.lines ?? []
        let more = lines.count > 1 ? " (and \(lines.count - 1) more)" : ""
        return Failure(
            .configInvalid,
            "the host's configuration cannot be used: \(lines.first ?? path)\(more). Correct it (`virt-tap check` says all): it is loaded by "
                + "itself then")
    }
}
