// SPDX-License-Identifier: LGPL-2.1-or-later

/// Where things are, unless an option says otherwise.
public enum HostPaths {
    public static let configuration = "/etc/virt-tap/config.xml"
    /// Of the sockets and the lock.
    public static let runtimeDirectory = "/run/virt-tap"
    /// The BPF file system that holds the pins.
    public static let bpffs = "/sys/fs/bpf"
}
