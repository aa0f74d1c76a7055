// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import Testing

/// What `make install` puts where, and what systemd thinks of the units.
@Suite struct InstallTests {
    private func withRoot(_ body: (String) async throws -> Void) async throws {
        let root = (NSTemporaryDirectory() as NSString).appendingPathComponent("root-\(UInt32.random(in: 0 ... .max))")
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: root) }
        try await make("install-data", root)
        try await body(root)
    }

    private func make(_ target: String, _ root: String) async throws {
        try await Command(["make", "-s", "-C", LabHost.repository, target, "DESTDIR=\(root)"]).succeed()
    }

    private func files(below root: String) async throws -> [String] {
        try await Command(["find", root, "!", "-type", "d", "-printf", "/%P\n"]).succeed().lines.sorted()
    }

    @Test func everyFileIsInItsPlace() async throws {
        try await withRoot { root async throws in
            let files = try await files(below: root)
            for path in [
                "/etc/libvirt/hooks/qemu.d/virt-tap", "/usr/lib/systemd/system/virt-tapd.service",
                "/usr/lib/systemd/system/virt-tapd.socket", "/usr/share/man/man1/virt-tap.1", "/usr/share/man/man8/virt-tapd.8",
            ] {
                #expect(files.contains(path))
            }
            #expect(try await Command(["grep", "-rl", "@[A-Z]*DIR@", root]).run().output.isEmpty)
            let hook = root + "/etc/libvirt/hooks/qemu.d/virt-tap"
            #expect(try String(contentsOfFile: hook, encoding: .utf8).contains("\nbinary=/usr/bin/virt-tap\n"))
            #expect(FileManager.default.isExecutableFile(atPath: hook))
        }
    }

    @Test func uninstallLeavesTheConfigurationAndNothingElse() async throws {
        try await withRoot { root async throws in
            try await Command(["/bin/sh", "-ec", "mkdir '\(root)/etc/virt-tap'; echo '<virt-tap/>' >'\(root)/etc/virt-tap/config.xml'"])
                .succeed()
            try await make("uninstall", root)
            #expect(try await files(below: root) == ["/etc/virt-tap/config.xml"])
        }
    }

    @Test func theHookIsTheFirstToGo() async throws {
        let commands = try await Command(["make", "-n", "-s", "-C", LabHost.repository, "uninstall", "DESTDIR=/nowhere"]).succeed().lines
        #expect(commands.first == "rm -f '/nowhere/etc/libvirt/hooks/qemu.d/virt-tap'")
    }

    @Test func systemdAcceptsTheUnits() async throws {
        try await withRoot { root async throws in
            let units = root + "/usr/lib/systemd/system"
            // The programs and the pages that the units name must exist for systemd to be content.
            try await Command([
                "/bin/sh", "-ec",
                "sed -i 's|^ExecStart=.*|ExecStart=/bin/true|; /^Documentation=/d' \(units)/virt-tapd.service \(units)/virt-tapd.socket",
            ]).succeed()
            let result = try await Command(["systemd-analyze", "verify", "\(units)/virt-tapd.service", "\(units)/virt-tapd.socket"]).run()
            #expect(result.status == 0)
            #expect(!result.errorText.contains("virt-tapd"), "\(result.errorText)")
        }
    }

    @Test func theServiceIsWellConfined() async throws {
        try await withRoot { root async throws in
            let unit = root + "/usr/lib/systemd/system/virt-tapd.service"
            // Exposure in tenths: 2.5, of which the capabilities and the host's network cannot be had for less.
            let result = try await Command(["systemd-analyze", "security", "--offline=true", "--threshold=25", unit]).run()
            #expect(result.status == 0, "\(result.text.split(separator: "\n").last ?? "")")
            let text = try String(contentsOfFile: unit, encoding: .utf8)
            #expect(text.contains("\nCapabilityBoundingSet=CAP_BPF CAP_NET_ADMIN CAP_PERFMON\n"))
            // These would take the host's bpffs or network away.
            for word in ["\nProtectKernelTunables=yes", "\nPrivateNetwork=yes", "\nPrivateUsers=yes", "\nPrivateBPF="] {
                #expect(!text.contains(word))
            }
        }
    }
}
