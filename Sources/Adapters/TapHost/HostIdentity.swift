// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// What this machine is called and runs.
public enum HostIdentity {
    /// The node name, as uname(2) has it.
    public static var name: String { field(\.nodename) }

    /// The kernel's release, such as `6.18.44`.
    public static var kernel: String { field(\.release) }

    private static func field<Characters>(_ path: KeyPath<utsname, Characters>) -> String {
        var names = utsname()
        guard uname(&names) == 0 else { return "unknown" }
        return withUnsafeBytes(of: names[keyPath: path]) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
