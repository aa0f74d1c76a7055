// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// The daemon's runtime directory, with its sockets and its lock.
public struct RuntimeDirectory: Hashable, Sendable {
    public let path: String

    public init(_ path: String) { self.path = path }

    /// The socket for root, for every request.
    public var controlSocket: String { "\(path)/control.sock" }
    /// The socket for a group, for `status` and `ping` only.
    public var statusSocket: String { "\(path)/status.sock" }
    /// The file that the daemon locks, or a purge while no daemon runs.
    public var lock: String { "\(path)/lock" }

    /// Makes the directory with mode 0700, or 0710 with a group that may reach the status socket in it. Corrects the mode of
    /// an existing directory.
    /// - Throws: `notPermitted` when it belongs to somebody else, is not a directory, or cannot be given to the group.
    public func prepare(group: SocketGroup? = nil) throws(ControlError) {
        try create()
        if let group { try group.give(path) }
        let mode: mode_t = group == nil ? 0o700 : 0o710
        guard chmod(path, mode) == 0 else { throw .system(call: "chmod", what: path, errno: errno) }
    }

    /// Makes the directory with mode 0700, unless it exists.
    /// - Throws: `notPermitted` when it belongs to somebody else, or is not a directory.
    public func create() throws(ControlError) {
        if mkdir(path, 0o700) != 0, errno != EEXIST {
            throw .system(call: "mkdir", what: path, errno: errno)
        }
        var status = stat()
        guard lstat(path, &status) == 0 else { throw .system(call: "stat", what: path, errno: errno) }
        guard status.st_uid == geteuid() || geteuid() == 0 else { throw .notPermitted(path: path, what: "only root may do this") }
        guard status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid() else {
            throw .notPermitted(path: path, what: "this is not a directory of the user that virt-tapd runs as: remove it, or fix its owner")
        }
    }
}

/// The lock of a runtime directory, by flock(2). The daemon holds it while it runs, and so does a command that changes the kernel while no
/// daemon runs: two of them would undo each other's work.
///
/// The kernel releases it when the process ends, however it ends.
public final class DaemonLock: Sendable {
    private let descriptor: Descriptor

    /// Acquires the lock, without waiting. The directory must exist: see `RuntimeDirectory.prepare`.
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
        // The process id is only for messages; the lock itself is what counts.
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
