// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
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

    private func make(_ target: String, _ root: String, _ variables: String...) async throws {
        try await Command(["make", "-s", "-C", LabHost.repository, target, "DESTDIR=\(root)"] + variables).succeed()
    }

    private func files(below root: String) async throws -> [String] {
        try await Command(["find", root, "!", "-type", "d", "-printf", "/%P\n"]).succeed().lines.sorted()
    }

    @Test func everyFileIsInItsPlace() async throws {
        try await withRoot { root async throws in
            let files = try await files(below: root)
            for path in [
                "/etc/libvirt/hooks/qemu.d/virt-tap", "/usr/lib/systemd/system/virt-tapd.service",
                "/usr/lib/systemd/system/virt-tapd.socket", "/usr/lib/sysusers.d/virt-tap.conf", "/usr/share/man/man1/virt-tap.1",
                "/usr/share/man/man8/virt-tapd.8",
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

    /// The symbols are apart, where a debugger finds them, and the programs run without.
    @Test func theProgramsAreInstalledWithoutTheirSymbols() async throws {
        try await withRoot { root async throws in
            let built = (try TappedHost.program("virt-tap") as NSString).deletingLastPathComponent
            try await make("install-binaries", root, "BUILDDIR=\(built)")
            for path in ["/usr/bin/virt-tap", "/usr/sbin/virt-tapd"] {
                let sections = try await Command(["readelf", "-SW", root + path]).succeed().text
                #expect(!sections.contains(".symtab") && !sections.contains(".debug_info") && sections.contains(".gnu_debuglink"))
                let symbols = "\(root)/usr/lib/debug\(path).debug"
                #expect(try await Command(["readelf", "-SW", symbols]).succeed().text.contains(".symtab"))
                #expect(try await Command(["stat", "-c", "%a", symbols]).succeed().text.hasPrefix("644"))
                let link = try await Command(["readelf", "-p", ".gnu_debuglink", root + path]).succeed().text
                #expect(link.contains((symbols as NSString).lastPathComponent))
                #expect(try await Command([root + path, "--version"]).succeed().text.hasPrefix(virtTapVersion))
            }
            try await make("uninstall", root)
            #expect(try await files(below: root) == [])
        }
    }

    @Test func theGroupIsMade() async throws {
        try await withRoot { root async throws in
            try await Command(["/bin/sh", "-ec", "mkdir -p '\(root)/etc'; : >'\(root)/etc/passwd'; : >'\(root)/etc/group'"]).succeed()
            try await Command(["systemd-sysusers", "--root=\(root)", root + "/usr/lib/sysusers.d/virt-tap.conf"]).succeed()
            #expect(try String(contentsOfFile: root + "/etc/group", encoding: .utf8).hasPrefix("virt-tap:"))
        }
    }

    /// A group that an administrator has removed must not keep taps from being placed: status=216/GROUP.
    @Test func theServiceNeedsNoGroup() throws {
        let unit = try String(contentsOfFile: LabHost.repository + "/packaging/systemd/virt-tapd.service", encoding: .utf8)
        #expect(!unit.contains("\nSupplementaryGroups=") && !unit.contains("\nGroup="))
        #expect(unit.contains("\nExecReload=@BINDIR@/virt-tap reload\n"))
        // Or the journal has a line for each thread that may not be more urgent than others.
        #expect(unit.contains("\nEnvironment=LIBDISPATCH_LOG=NO\n"))
    }

    /// On a live system: what ran is stopped and forgotten, and it says what goes on.
    @Test(.enabled(if: geteuid() == 0, "a host of its own needs root")) func uninstallSaysWhetherTapsGoOn() async throws {
        try await LabHost.with(["--without-libvirtd"]) { lab async throws in
            let prefix = lab.folder + "/usr"
            func make(_ target: String) async throws -> CommandResult {
                try await lab.run([
                    "env", "PATH=\(lab.folder)/bin:/usr/sbin:/usr/bin:/sbin:/bin", "make", "-s", "-C", LabHost.repository, target,
                    "PREFIX=\(prefix)",
                ])
            }
            // In the place of the one that asks systemd.
            try await Command(["mkdir", "-p", lab.folder + "/bin"]).succeed()
            let systemctl = lab.folder + "/bin/systemctl"
            try "#!/bin/sh\necho \"$*\" >>\(lab.folder)/calls\n".write(toFile: systemctl, atomically: false, encoding: .utf8)
            try await Command(["chmod", "0755", systemctl]).succeed()
            try await lab.succeed("mkdir", "-p", "/run/systemd/system")
            #expect(try await make("install-data").status == 0)
            try await lab.succeed(
                "sh", "-ec",
                "mkdir -m 0700 -p /run/virt-tap; echo 4711 >/run/virt-tap/lock; for i in 1 2; do mkdir -p /sys/fs/bpf/virt-tap/1/a$i; done")
            let copying = try await make("uninstall")
            #expect(
                copying.status == 0 && copying.text.contains("2 attachment(s) of taps go on copying"), "\(copying.text)\(copying.errorText)"
            )
            #expect(try await lab.run(["test", "-e", "/run/virt-tap"]).status == 1)
            let calls = try String(contentsOfFile: lab.folder + "/calls", encoding: .utf8)
            #expect(calls == "disable --now virt-tapd.service virt-tapd.socket\ndaemon-reload\n")
            try await lab.succeed("sh", "-c", "rmdir /sys/fs/bpf/virt-tap/1/a1 /sys/fs/bpf/virt-tap/1/a2")
            #expect(try await make("uninstall").text.contains("no tap copies any more"))
        }
    }

    @Test func systemdAcceptsTheUnits() async throws {
        try await withRoot { root async throws in
            let units = root + "/usr/lib/systemd/system"
            // The programs and the pages that the units name must exist for systemd to be content.
            try await Command([
                "/bin/sh", "-ec",
                "sed -i 's|^Exec\\([A-Z][a-z]*\\)=.*|Exec\\1=/bin/true|; /^Documentation=/d' \(units)/virt-tapd.service \(units)/virt-tapd.socket",
            ]).succeed()
            let result = try await Command(["systemd-analyze", "verify", "\(units)/virt-tapd.service", "\(units)/virt-tapd.socket"]).run()
            #expect(result.status == 0)
            #expect(!result.errorText.contains("virt-tapd"), "\(result.errorText)")
        }
    }

    @Test func theServiceIsWellConfined() async throws {
        try await withRoot { root async throws in
            let unit = root + "/usr/lib/systemd/system/virt-tapd.service"
            // Exposure in tenths: 2.6, of which the capabilities (0.1 for CAP_KILL) and the host's network cannot be had for less.
            let result = try await Command(["systemd-analyze", "security", "--offline=true", "--threshold=26", unit]).run()
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
