// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// Which libvirt is meant when nobody names one.
public enum LibvirtURI {
    /// The URI to connect to: the one given, else `LIBVIRT_DEFAULT_URI`, else `qemu:///system`.
    ///
    /// Without a URI libvirt looks for the socket of libvirtd alone, and finds nothing where virtqemud runs (seen with 9.0.0
    /// and 11.3.0 as Debian builds them); with `qemu:///system` it takes virtqemud's where that exists.
    /// - Parameter given: what an option or the configuration says; `nil` or empty: nothing.
    public static func effective(_ given: String?) -> String {
        // libvirt takes an empty one for none.
        [given, getenv("LIBVIRT_DEFAULT_URI").map { String(cString: $0) }].compactMap(\.self).first { !$0.isEmpty } ?? "qemu:///system"
    }

    /// Whether the libvirt at this URI calls the qemu hook of this host, as root: QEMU's driver for the system, on this machine.
    public static func callsHook(_ uri: String) -> Bool {
        guard let scheme = uri.firstRange(of: "://") else { return false }
        let way = uri[..<scheme.lowerBound].split(separator: "+", omittingEmptySubsequences: false)
        let place = uri[scheme.upperBound...].prefix { $0 != "?" }
        return (way == ["qemu"] || way == ["qemu", "unix"]) && place == "/system"
    }
}
