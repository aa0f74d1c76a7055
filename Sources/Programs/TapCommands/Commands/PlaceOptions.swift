// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import TapHost

/// Where libvirt, the daemon and the pins are.
struct PlaceOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The libvirt to talk to; default: the configuration's, else LIBVIRT_DEFAULT_URI, else qemu:///system.", valueName: "uri"))
    var connect: String?

    @Option(help: ArgumentHelp("Where the daemon's sockets are.", valueName: "dir"), completion: .directory)
    var runtimeDir = HostPaths.runtimeDirectory

    @Option(help: ArgumentHelp("The BPF file system that holds the pins.", valueName: "dir"), completion: .directory)
    var bpffs = HostPaths.bpffs
}
