// SPDX-License-Identifier: LGPL-2.1-or-later

import TapHost
import TapModel

/// The configuration in force and how it came to be.
struct LoadedConfiguration: Sendable {
    var path: String
    var value: HostConfiguration
    var loaded: Timestamp
    /// Why the file as it is now was not loaded; the configuration before it stays in force.
    var problem: ConfigurationFileError?
}
