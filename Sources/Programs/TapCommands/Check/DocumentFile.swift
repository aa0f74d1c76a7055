// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapModel
import TapSystem

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
