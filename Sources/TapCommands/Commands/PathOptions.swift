// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import TapControl
import TapHost
import TapModel

/// Where things are; the same on every subcommand and on virt-tapd.
struct PathOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The libvirt to talk to; default: the configuration's, else libvirt's own default.", valueName: "uri"))
    var connect: String?

    @Option(help: ArgumentHelp("The host's configuration.", valueName: "file"), completion: .file())
    var config = ConfigurationFile.defaultPath

    @Option(help: ArgumentHelp("Where the daemon's sockets are.", valueName: "dir"), completion: .directory)
    var runtimeDir = RuntimeDirectory.standard.path

    @Option(help: ArgumentHelp("The BPF file system that holds the pins.", valueName: "dir"), completion: .directory)
    var bpffs = "/sys/fs/bpf"

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
