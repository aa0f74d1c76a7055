// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// The script that libvirt calls at every operation on a domain.
public enum HookInstallation {
    /// Where `make install` puts it and libvirt (6.5 and later) looks for it.
    public static let path = "/etc/libvirt/hooks/qemu.d/virt-tap"

    /// Whether it is there and libvirt would run it.
    public static var isInstalled: Bool { access(path, X_OK) == 0 }
}
