// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapSystem

/// The group of `<control group>`, which may read status.
public struct SocketGroup: Hashable, Sendable {
    public let name: String
    public let id: UInt32

    /// Looks the group up, by name or by number.
    /// - Throws: `notPermitted` when there is none.
    public init(named name: String) throws(ControlError) {
        self.name = name
        var entry = group()
        var found: UnsafeMutablePointer<group>?
        var buffer = [CChar](repeating: 0, count: 64 * 1_024)
        let code = getgrnam_r(name, &entry, &buffer, buffer.count, &found)
        if found != nil {
            id = entry.gr_gid
        } else if let number = UInt32(name) {
            id = number
        } else {
            let why = code == 0 ? "" : " (\(ErrorText.of(code)))"
            throw .notPermitted(
                path: "<control group>",
                what: "this host has no group \(name.debugDescription)\(why): groupadd --system it, or name another")
        }
    }

    /// Gives a file or directory to the group.
    func give(_ path: String) throws(ControlError) {
        guard lchown(path, uid_t.max, id) != 0 else { return }
        guard errno == EPERM else { throw .system(call: "chown", what: path, errno: errno) }
        throw .notPermitted(
            path: path,
            what: "virt-tapd may not give this to the group \(name): without CAP_CHOWN it must be in the group, so put"
                + " SupplementaryGroups=\(name) into the unit (systemctl edit virt-tapd) and restart it")
    }
}
