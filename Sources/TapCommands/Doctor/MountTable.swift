// SPDX-License-Identifier: LGPL-2.1-or-later

/// Reads /proc/self/mountinfo, proc_pid_mountinfo(5).
enum MountTable {
    /// The type of the file system that a path without symbolic links is on; `nil` when the table has none.
    static func fileSystem(of path: String, in table: String) -> String? {
        var best: (length: Int, type: String)?
        for line in table.split(separator: "\n") {
            let fields = line.split(separator: " ").map(String.init)
            // Optional fields end with a dash; the type follows it. Later lines are mounted over earlier ones.
            guard fields.count > 6, let dash = fields[6...].firstIndex(of: "-"), dash + 1 < fields.count else { continue }
            let mount = fields[4]
            guard mount == "/" || path == mount || path.hasPrefix(mount + "/"), mount.utf8.count >= best?.length ?? 0 else { continue }
            best = (mount.utf8.count, fields[dash + 1])
        }
        return best?.type
    }
}
