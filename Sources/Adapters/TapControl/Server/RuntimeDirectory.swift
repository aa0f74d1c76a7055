// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// The directory of the sockets and the lock.
public struct RuntimeDirectory: Hashable, Sendable {
    public let path: String

    public init(_ path: String) { self.path = path }

    /// For root: every request.
    public var controlSocket: String { "\(path)/control.sock" }
    /// For a group: `status` and `ping` only.
    public var statusSocket: String { "\(path)/status.sock" }
    /// Locked by the daemon, and by a purge without one.
    public var lock: String { "\(path)/lock" }

    /// Makes the directory, 0700, or 0710 with a group that may reach the status socket in it; puts right the mode of
    /// one that is there.
    /// - Throws: `notPermitted` when it belongs to somebody else, is no directory, or the group cannot be given to it.
    public func prepare(group: SocketGroup? = nil) throws(ControlError) {
        try create()
        if let group { try group.give(path) }
        let mode: mode_t = group == nil ? 0o700 : 0o710
        guard chmod(path, mode) == 0 else { throw .system(call: "chmod", what: path, errno: errno) }
    }

    /// Makes the directory, 0700, unless it is there.
    /// - Throws: `notPermitted` when it belongs to somebody else, or is no directory.
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
