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

    /// What to know before `new` is put in force in this one's place.
    func warnings(changingTo new: HostConfiguration) -> [String] {
        var warnings: [String] = []
        if new.libvirtURI != value.libvirtURI { warnings.append("a changed <libvirt uri> takes effect when virt-tapd is restarted") }
        if new.controlGroup != value.controlGroup { warnings.append("a changed <control group> takes effect when virt-tapd is restarted") }
        return warnings
    }
}
