// SPDX-License-Identifier: LGPL-2.1-or-later

import FoundationEssentials
import Glibc

/// The script that libvirt calls at every operation on a domain.
public enum HookInstallation {
    /// Where `make install` puts it and libvirt (6.5 and later) looks for it.
    public static let path = "/etc/libvirt/hooks/qemu.d/virt-tap"

    /// Whether it is there and libvirt would run it.
    public static var isInstalled: Bool { access(path, X_OK) == 0 }

    /// Whether virt-tap did not end in time when the script called it, less than five minutes ago: the script writes down until when it
    /// remembers that, in seconds since the boot. `false` also for whoever may not read that.
    /// - Parameter directory: the daemon's runtime directory.
    public static func hasTimedOut(in directory: String) -> Bool {
        var time = timespec()
        guard let text = try? String(contentsOfFile: "\(directory)/hook-timed-out", encoding: .utf8),
            let until = Int(text.prefix { $0.isNumber }), clock_gettime(CLOCK_BOOTTIME, &time) == 0
        else { return false }
        return until > time.tv_sec
    }
}
