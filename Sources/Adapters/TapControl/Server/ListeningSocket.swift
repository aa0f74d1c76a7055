// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// A socket on which the daemon is asked.
public final class ListeningSocket: Sendable {
    /// Which requests it takes, and from whom.
    public enum Access: Sendable {
        /// Every request, from root and from the user that the daemon runs as.
        case control
        /// `status` and `ping`, from whoever the file's mode lets connect.
        case statusOnly
    }

    public let path: String
    public let access: Access
    let descriptor: Descriptor
    /// Ours to remove: not when systemd made it.
    private let isOwner: Bool

    private init(path: String, access: Access, descriptor: Descriptor, isOwner: Bool) {
        self.path = path
        self.access = access
        self.descriptor = descriptor
        self.isOwner = isOwner
    }

    /// Makes and binds one: 0600, or 0660 with a group. Replaces the file of a daemon that is dead.
    /// - Throws: `alreadyRunning` when somebody listens there; `notPermitted` for the group (see `SocketGroup`).
    public static func bind(_ path: String, access: Access, group: SocketGroup? = nil) throws(ControlError) -> ListeningSocket {
        try removeStale(path)
        let descriptor = try Descriptor.unixSocket(SOCK_STREAM)
        // The socket's own mode is what its file begins with (unix_bind in net/unix/af_unix.c), so that nobody can
        // connect before it is set right.
        guard fchmod(descriptor.number, 0o600) == 0 else { throw .system(call: "chmod", what: path, errno: errno) }
        let result = try SocketAddress.with(path) { Glibc.bind(descriptor.number, $0, $1) == 0 ? 0 : errno }
        guard result == 0 else { throw .system(call: "bind", what: path, errno: result) }
        let socket = ListeningSocket(path: path, access: access, descriptor: descriptor, isOwner: true)
        if let group {
            try group.give(path)
            guard chmod(path, 0o660) == 0 else { throw .system(call: "chmod", what: path, errno: errno) }
        }
        guard listen(descriptor.number, 64) == 0 else { throw .system(call: "listen", what: path, errno: errno) }
        return socket
    }

    /// Uses one that systemd made and keeps.
    public static func inherited(_ socket: InheritedSocket, access: Access) -> ListeningSocket {
        let flags = fcntl(socket.number, F_GETFL)
        _ = fcntl(socket.number, F_SETFL, flags | O_NONBLOCK)
        return ListeningSocket(path: socket.path, access: access, descriptor: Descriptor(socket.number), isOwner: false)
    }

    /// The sockets that a daemon cannot do without: those that systemd hands over, found by their paths, and the control socket, made
    /// here where there is none. `RuntimeDirectory.prepare` comes first. See `StatusSocket` for the other one.
    public static func sockets(in directory: RuntimeDirectory, inherited: [InheritedSocket]) throws(ControlError) -> [ListeningSocket] {
        func find(_ path: String) -> InheritedSocket? { inherited.first { $0.isAt(path) } }
        var sockets: [ListeningSocket] = []
        if let control = find(directory.controlSocket) {
            sockets.append(.inherited(control, access: .control))
        } else {
            sockets.append(try bind(directory.controlSocket, access: .control))
        }
        if let status = find(directory.statusSocket) { sockets.append(.inherited(status, access: .statusOnly)) }
        return sockets
    }

    /// Removes the file, if it is ours. The socket itself goes with its last owner.
    func removeFile() {
        if isOwner { unlink(path) }
    }

    private static func removeStale(_ path: String) throws(ControlError) {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            guard errno == ENOENT else { throw .system(call: "stat", what: path, errno: errno) }
            return
        }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw .notPermitted(path: path, what: "this is not a socket; move it away")
        }
        let probe = try Descriptor.unixSocket(SOCK_STREAM)
        let code = try SocketAddress.with(path) { connect(probe.number, $0, $1) == 0 ? 0 : errno }
        guard code == ECONNREFUSED else {
            throw .notPermitted(
                path: path,
                what:
                    "somebody listens here already: a virt-tapd, or systemd for virt-tapd.socket (systemctl stop virt-tapd.socket)"
            )
        }
        guard unlink(path) == 0 || errno == ENOENT else { throw .system(call: "unlink", what: path, errno: errno) }
    }
}
