// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Glibc
import TapControl
import TapHost
import TapModel
import TapSystem

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

/// A file to be checked, or standard input.
struct DocumentFile {
    /// Bytes: the most that any of the documents may have, and one more to notice it.
    private static let maximum = DomainSnapshot.maximumXML + 1

    /// As it stands in diagnostics, printable.
    var name: String
    var bytes: [UInt8]
    /// Whether it is the configuration that this host's daemon uses.
    var isHostConfiguration = false

    /// - Parameter path: `-` is standard input.
    static func read(_ path: String) throws(CommandFailure) -> DocumentFile {
        let name = path == "-" ? "standard input" : path.printable
        let descriptor = path == "-" ? 0 : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CommandFailure(.failure, "\(name): \(ErrorText.of(errno))") }
        defer { if descriptor != 0 { close(descriptor) } }
        var bytes: [UInt8] = []
        while bytes.count < maximum {
            var code: Int32 = 0
            var count = 0
            let chunk = [UInt8](unsafeUninitializedCapacity: min(1 << 20, maximum - bytes.count)) { buffer, initialised in
                count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                code = errno
                initialised = max(0, count)
            }
            if count < 0, code == EINTR { continue }
            guard count >= 0 else { throw CommandFailure(.failure, "\(name): \(ErrorText.of(code))") }
            if count == 0 { break }
            bytes += chunk
        }
        return DocumentFile(name: name, bytes: bytes)
    }
}
