// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// Facts about this process, for status.
struct DaemonIdentity: Sendable {
    var pid: Int32
    /// The libvirt URI in use.
    var uri: String
    /// Whether that is the command line's, whatever the configuration says.
    var isURIFixed = false
    var started: Timestamp
}
