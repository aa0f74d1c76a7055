// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// Held for the life of a daemon, and by whatever changes the kernel without one: two of them on one runtime directory
/// would undo each other's work.
///
/// The kernel lets go of it when the process ends, however it ends.
public final class DaemonLock: Sendable {
    private let descriptor: Descriptor

    /// Takes the lock, without waiting. The directory must be there: see `RuntimeDirectory.prepare`.
    /// - Throws: `alreadyRunning` when another process has it.
    public init(in directory: RuntimeDirectory) throws(ControlError) {
        let number = open(directory.lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard number >= 0 else {
            let code = errno
            if code == EACCES || code == EPERM { throw .notPermitted(path: directory.lock, what: "only root may do this") }
            throw .system(call: "open", what: directory.lock, errno: code)
        }
        let descriptor = Descriptor(number)
        guard flock(number, LOCK_EX | LOCK_NB) == 0 else {
            guard errno == EWOULDBLOCK else { throw .system(call: "flock", what: directory.lock, errno: errno) }
            throw .alreadyRunning(directory: directory.path, pid: Self.holder(number))
        }
        self.descriptor = descriptor
        // Only to tell people who it is; the lock itself is what counts.
        let text = "\(getpid())\n"
        _ = ftruncate(number, 0)
        _ = pwrite(number, text, text.utf8.count, 0)
    }

    private static func holder(_ number: Int32) -> Int32? {
        var buffer = [UInt8](repeating: 0, count: 16)
        let count = pread(number, &buffer, buffer.count, 0)
        guard count > 0 else { return nil }
        return Int32(String(decoding: buffer[..<count].prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
    }
}
