// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapSystem

/// The group of `<control group>`, which may read status.
public struct SocketGroup: Hashable, Sendable {
    public let name: String
    public let id: UInt32

    init(name: String, id: UInt32) { (self.name, self.id) = (name, id) }

    /// Looks the group up, as nsswitch.conf says; that may block for as long as it likes.
    /// - Throws: `notPermitted` when there is none.
    public init(named name: String) throws(ControlError) {
        var entry = group()
        var found: UnsafeMutablePointer<group>?
        var buffer = [CChar](repeating: 0, count: 64 * 1_024)
        let code = getgrnam_r(name, &entry, &buffer, buffer.count, &found)
        guard found != nil else {
            let why = code == 0 ? "" : " (\(ErrorText.of(code)))"
            throw .notPermitted(
                path: "<control group>",
                what: "this host has no group \(name.debugDescription)\(why): groupadd --system it and reload virt-tapd, or name another")
        }
        self.init(name: name, id: entry.gr_gid)
    }

    /// Gives a file or directory to the group.
    ///
    /// An owner may give a file to a group of its own, whatever else it may not. So where CAP_CHOWN is missing, as it is in the daemon's
    /// unit, the process joins the group for that moment, by CAP_SETGID, which the unit has for the filters' child. With
    /// `SupplementaryGroups=` in its place a group that is gone would keep the unit from starting.
    /// - Throws: `notPermitted` when it has neither, and is no member.
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
                "virt-tapd may not give this to the group \(name): it is no member, and has neither CAP_SETGID nor CAP_CHOWN; run it by its "
                + "unit")
    }
}
