// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Foundation

/// Open vSwitch's two daemons, with files of their own, and a bridge in the kernel's datapath.
final class SwitchDaemons {
    static let bridge = "ovs0"
    private static let folder = "/run/openvswitch"

    init() throws {
        try? FileManager.default.removeItem(atPath: Self.folder)
        try FileManager.default.createDirectory(atPath: Self.folder, withIntermediateDirectories: true)
        let database = "\(Self.folder)/conf.db"
        try run("ovsdb-tool", "create", database, "/usr/share/openvswitch/vswitch.ovsschema")
        try Self.start("ovsdb-server \(database) --remote=punix:\(Self.folder)/db.sock --pidfile --detach --no-chdir")
        try run("ovs-vsctl", "--no-wait", "init")
        try run("modprobe", "openvswitch")
        try Self.start("ovs-vswitchd --pidfile --detach --no-chdir")
        try run("ovs-vsctl", "--timeout=60", "add-br", Self.bridge, "--", "set", "bridge", Self.bridge, "datapath_type=system")
    }

    deinit {
        _ = try? run("ovs-vsctl", "--timeout=20", "--if-exists", "del-br", Self.bridge)
        _ = try? run("ovs-appctl", "-T", "10", "exit", "--cleanup")
        _ = try? run("ovs-appctl", "-T", "10", "-t", "ovsdb-server", "exit")
    }

    /// A daemon must not inherit our descriptors: Foundation takes a process for running as long as anybody holds one.
    private static func start(_ command: String) throws {
        let closing = "for fd in /proc/self/fd/*; do fd=${fd##*/}; [ $fd -le 2 ] || eval \"exec $fd>&-\"; done"
        try run("bash", "-c", "exec </dev/null >\(folder)/log 2>&1; \(closing); exec \(command)")
    }
}
