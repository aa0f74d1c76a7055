// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapSystem

/// A socket on which the daemon accepts requests.
public final class ListeningSocket: Sendable {
    /// Which requests the socket accepts, and from whom.
    public enum Access: Sendable {
        /// Every request, from root and from the user that the daemon runs as.
        case control
        /// `status` and `ping`, from every user whom the file's mode lets connect.
        case statusOnly
    }

    public let path: String
    public let access: Access
    let descriptor: Descriptor
    /// Whether the file is ours to remove: it is not when systemd made the socket.
    private let isOwner: Bool

    private init(path: String, access: Access, descriptor: Descriptor, isOwner: Bool) {
        self.path = path
        self.access = access
        self.descriptor = descriptor
        self.isOwner = isOwner
    }

    /// Makes and binds a socket of mode 0600, or 0660 with a group. Replaces the file of a daemon that has ended.
    /// - Throws: `alreadyRunning` when somebody listens there; `notPermitted` for the group (see `SocketGroup`).
    public static func bind(_ path: String, access: Access, group: SocketGroup? = nil) throws(ControlError) -> ListeningSocket {
        try removeStale(path)
        let descriptor = try Descriptor.unixSocket(SOCK_STREAM)
        // The file gets the socket's own mode at first (unix_bind in net/unix/af_unix.c), so that nobody can
        // connect before the final mode is set.
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

    /// Uses a socket that systemd made and keeps.
    public static func inherited(_ socket: InheritedSocket, access: Access) -> ListeningSocket {
        let flags = fcntl(socket.number, F_GETFL)
        _ = fcntl(socket.number, F_SETFL, flags | O_NONBLOCK)
        return ListeningSocket(path: socket.path, access: access, descriptor: Descriptor(socket.number), isOwner: false)
    }

    /// Returns the sockets that systemd passed, recognised by their paths, and makes the control socket if it is not among
    /// them. To be called after `RuntimeDirectory.prepare`. `StatusSocket` makes the status socket.
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

    /// Removes the file, if it is ours. The socket itself is closed with its last owner.
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
            throw .notPermitted(path: path, what: "this is not a socket; remove it")
        }
        let probe = try Descriptor.unixSocket(SOCK_STREAM)
        let code = try SocketAddress.with(path) { connect(probe.number, $0, $1) == 0 ? 0 : errno }
        guard code == ECONNREFUSED else {
            throw .notPermitted(
                path: path,
                what:
                    "somebody listens here already: another virt-tapd, or systemd for virt-tapd.socket; stop it (systemctl stop virt-tapd.socket)"
            )
        }
        guard unlink(path) == 0 || errno == ENOENT else { throw .system(call: "unlink", what: path, errno: errno) }
    }
}

/// The group of `<control group>`, which may read the status.
public struct SocketGroup: Hashable, Sendable {
    public let name: String
    public let id: UInt32

    init(name: String, id: UInt32) { (self.name, self.id) = (name, id) }

    /// Looks the group up, as nsswitch.conf says. That may block without limit.
    /// - Throws: `notPermitted` when there is no such group.
    public init(named name: String) throws(ControlError) {
        var entry = group()
        var found: UnsafeMutablePointer<group>?
        var buffer = [CChar](repeating: 0, count: 64 * 1_024)
        let code = getgrnam_r(name, &entry, &buffer, buffer.count, &found)
        guard found != nil else {
            let why = code == 0 ? "" : " (\(ErrorText.of(code)))"
            throw .notPermitted(
                path: "<control group>",
                what:
                    "this host has no group \(name.debugDescription)\(why): create it (groupadd --system) and reload virt-tapd, or name another"
            )
        }
        self.init(name: name, id: entry.gr_gid)
    }

    /// Gives a file or directory to the group.
    ///
    /// A file's owner may give it to any group that the process is a member of. So without CAP_CHOWN, as in the daemon's
    /// unit, the process joins the group for that moment by CAP_SETGID, which the unit has for the filters' child. (With
    /// `SupplementaryGroups=` instead, a group that does not exist would keep the unit from starting.)
    /// - Throws: `notPermitted` when the process has neither capability and is not a member.
    func give(_ path: String) throws(ControlError) {
        guard lchown(path, uid_t.max, id) != 0 else { return }
        guard errno == EPERM else { throw .system(call: "chown", what: path, errno: errno) }
        var own = [gid_t](repeating: 0, count: Int(NGROUPS_MAX))
        let count = getgroups(Int32(own.count), &own)
        own.removeSubrange(max(0, Int(count))...)
        if count >= 0, setgroups(own.count + 1, own + [id]) == 0 {
            defer { _ = setgroups(own.count, own) }
            if lchown(path, uid_t.max, id) == 0 { return }
        }
        throw .notPermitted(
            path: path,
            what:
                "virt-tapd may not give this to the group \(name): it is not a member, and has neither CAP_SETGID nor CAP_CHOWN; start it "
                + "by its systemd unit")
    }
}
