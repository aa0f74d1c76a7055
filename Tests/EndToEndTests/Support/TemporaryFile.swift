// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// A file without a name: it is gone with its last descriptor.
final class TemporaryFile: Sendable {
    let descriptor: Int32

    init(holding contents: Data = Data()) throws {
        var template = Array((NSTemporaryDirectory() as NSString).appendingPathComponent("vt-XXXXXX").utf8CString)
        descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        unlink(template)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        guard !contents.isEmpty else { return }
        try FileHandle(fileDescriptor: descriptor).write(contentsOf: contents)
        lseek(descriptor, 0, SEEK_SET)
    }

    deinit { close(descriptor) }

    func contents() throws -> Data {
        lseek(descriptor, 0, SEEK_SET)
        return try FileHandle(fileDescriptor: descriptor).readToEnd() ?? Data()
    }
}
