// SPDX-License-Identifier: LGPL-2.1-or-later

import TapHost
import TapModel

/// The configuration in force and how it came to be.
struct LoadedConfiguration: Sendable {
    var path: String
    /// The defaults while there is no configuration: they say nothing of what this host wants.
    var value: HostConfiguration
    /// When it was read; `nil`: there is none, since the file could not be used when the daemon started, nor since.
    var loaded: Timestamp?
    /// Why the file as it is now was not loaded; the configuration before it stays in force, if there was one.
    var problem: ConfigurationFileError?

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

    /// How long the daemon waits, in seconds, until it looks at a file again that cannot be used while nothing else is in force.
    static let retryInterval = 5.0

    /// Why nothing is known of what this host wants; `nil`: it is.
    var missing: Failure? {
        guard loaded == nil else { return nil }
        let lines = problem?.lines ?? []
        let more = lines.count > 1 ? " (and \(lines.count - 1) more)" : ""
        return Failure(
            .configInvalid,
            "the host's configuration cannot be used: \(lines.first ?? path)\(more). Correct it (`virt-tap check` says all): it is taken by "
                + "itself then")
    }
}
