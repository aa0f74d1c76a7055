// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Glibc
import TapControl
import TapHost
import TapModel
import TapSystem

/// The path options of every subcommand but `set` and `unset`, which have `EditOptions`. virt-tapd has the same ones.
struct PathOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The host's configuration file.", valueName: "file"), completion: .file())
    var config = HostPaths.configuration

    @OptionGroup var locations: LocationOptions

    var connect: String? { locations.connect }
    var runtimeDir: String { locations.runtimeDir }
    var bpffs: String { locations.bpffs }
    var runtimeDirectory: RuntimeDirectory { RuntimeDirectory(runtimeDir) }

    /// Loads the configuration, for commands that need one.
    func configuration() throws(CommandFailure) -> HostConfiguration {
        do {
            return try ConfigurationFile(path: config).load()
        } catch {
            throw CommandFailure(.configuration, lines: error.lines)
        }
    }
}

/// Where libvirt, the daemon's sockets and the pins are.
struct LocationOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The libvirt to connect to; default: the configuration's, else LIBVIRT_DEFAULT_URI, else qemu:///system.", valueName: "uri"))
    var connect: String?

    @Option(help: ArgumentHelp("The directory of virt-tapd's sockets.", valueName: "dir"), completion: .directory)
    var runtimeDir = HostPaths.runtimeDirectory

    @Option(help: ArgumentHelp("The BPF file system with the pinned programs and maps.", valueName: "dir"), completion: .directory)
    var bpffs = HostPaths.bpffs
}

/// A file that is named on the command line, or standard input.
struct DocumentFile {
    /// How many bytes are read: one more than any document may have, so that its reader notices a longer one.
    private static let maximum = DomainSnapshot.maximumXML + 1

    /// The file's name in diagnostics; printable.
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
