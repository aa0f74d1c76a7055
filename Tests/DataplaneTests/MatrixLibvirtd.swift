// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Foundation
import Glibc

/// A libvirtd on a machine that is the tests' own, with guests that are started and never run.
/// One for all tests, since it starts slowly where everything is emulated; it goes with the machine.
final class MatrixLibvirtd: Sendable {
    private static let shared = Result { try MatrixLibvirtd() }
    static func running() throws -> MatrixLibvirtd { try shared.get() }

    let bridge = "br-lv"
    static let hookBinaries = "/run/vt-bin"
    private let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    private init() throws {
        for (name, line) in [("kvm", "kvm:x:64054:"), ("libvirt-qemu", "libvirt-qemu:x:64055:")] where getgrnam(name) == nil {
            try Self.append(line, to: "/etc/group")
        }
        if getpwnam("libvirt-qemu") == nil { try Self.append("libvirt-qemu:x:64055:64055::/:/usr/sbin/nologin", to: "/etc/passwd") }
        try Self.append("auth_unix_ro = \"none\"\nauth_unix_rw = \"none\"", to: "/etc/libvirt/libvirtd.conf")
        try Self.append(
            """
            user = "root"
            group = "root"
            security_driver = "none"
            cgroup_controllers = []
            namespaces = []
            stdio_handler = "file"
            remember_owner = 0
            """, to: "/etc/libvirt/qemu.conf")
        // libvirtd looks for hooks when it starts. This one does nothing until its binary is there.
        let hook = try String(contentsOfFile: "\(repository)/hooks/qemu", encoding: .utf8)
        try run("mkdir", "-p", "/etc/libvirt/hooks/qemu.d", Self.hookBinaries)
        try hook.replacing("@BINDIR@", with: Self.hookBinaries)
            .write(toFile: "/etc/libvirt/hooks/qemu.d/virt-tap", atomically: false, encoding: .utf8)
        try run("chmod", "755", "/etc/libvirt/hooks/qemu.d/virt-tap")
        try ip("link add \(bridge) type bridge\nlink set \(bridge) up\n")
        try startDaemon("/usr/sbin/libvirtd --daemon --pid-file /run/matrix-libvirtd.pid", log: "/run/libvirtd.log")
        var failure: any Error = CancellationError()
        for _ in 0..<600 {
            do {
                try virsh("uri")
                return
            } catch { failure = error }
            usleep(100_000)
        }
        throw failure
    }

    private static func append(_ text: String, to path: String) throws {
        let old = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        try (old + text + "\n").write(toFile: path, atomically: false, encoding: .utf8)
    }

    @discardableResult
    func virsh(_ command: String) throws -> String {
        // One string, since no word of ours holds a space.
        try run("sh", "-c", "exec timeout 60 virsh -q \(command)")
    }

    /// - Returns: the guest's device.
    func start(_ name: String, interface extra: String = "", metadata: String = "") throws -> String {
        let xml = """
            <domain type='qemu'><name>\(name)</name><metadata>\(metadata)</metadata><memory unit='MiB'>16</memory><vcpu>1</vcpu>
              <os><type arch='x86_64' machine='pc'>hvm</type></os>
              <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
                <controller type='usb' model='none'/><memballoon model='none'/>
                <interface type='bridge'><mac address='52:54:00:12:34:56'/><source bridge='\(bridge)'/>
                  <model type='virtio'/><rom bar='off'/>\(extra)</interface>
              </devices></domain>
            """
        try xml.write(toFile: "/run/\(name).xml", atomically: true, encoding: .utf8)
        try virsh("create --paused /run/\(name).xml")
        guard let line = try virsh("domiflist \(name)").split(separator: "\n").first, let device = line.split(separator: " ").first else {
            throw CallFailure("domiflist \(name)")
        }
        return String(device)
    }
}
