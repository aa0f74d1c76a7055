// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import TapControl
import TapHost
import TapModel

/// Where things are; the same on every subcommand and on virt-tapd. `EditOptions` has those of set and unset.
struct PathOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The host's configuration.", valueName: "file"), completion: .file())
    var config = HostPaths.configuration

    @OptionGroup var places: PlaceOptions

    var connect: String? { places.connect }
    var runtimeDir: String { places.runtimeDir }
    var bpffs: String { places.bpffs }
    var runtimeDirectory: RuntimeDirectory { RuntimeDirectory(runtimeDir) }

    /// The configuration in force, for commands that cannot do without.
    func configuration() throws(CommandFailure) -> HostConfiguration {
        do {
            return try ConfigurationFile(path: config).load()
        } catch {
            throw CommandFailure(.configuration, lines: error.lines)
        }
    }
}
