// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import Testing

extension EndToEnd {
    /// The files of examples/mon0, which have a pair of devices for copies made at boot.
    @Suite struct MonitorPairTests {
        private static let folder = LabHost.repository + "/examples/mon0/"

        private func text(_ name: String) throws -> String {
            try String(contentsOfFile: name.hasPrefix("/") ? name : Self.folder + name, encoding: .utf8)
        }

        @Test func theDocumentationShowsThem() throws {
            let page = try text(LabHost.repository + "/docs/configuration.md")
            for name in try FileManager.default.contentsOfDirectory(atPath: Self.folder) {
                let lines = try text(name).split(separator: "\n", omittingEmptySubsequences: false).filter { !$0.hasPrefix("#") }
                #expect(page.contains("```\n\(lines.joined(separator: "\n"))```\n"), "\(name) is not in docs/configuration.md as it is")
            }
        }

        @Test func systemdAcceptsTheService() async throws {
            let result = try await Command(["systemd-analyze", "verify", Self.folder + "virt-tap-mon0.service"]).run()
            #expect(result.status == 0 && !result.errorText.contains("virt-tap"), "\(result.errorText)")
        }

        /// Whether both ends are up and say nothing by themselves.
        private func isQuietPair(_ lab: LabHost) async throws -> Bool {
            for (end, other) in [("mon0", "mon1"), ("mon1", "mon0")] {
                let link = try await lab.run(["ip", "-o", "link", "show", "dev", end]).text
                guard link.contains("\(end)@\(other):"), link.contains("NOARP"), link.contains(",UP,LOWER_UP") else { return false }
                guard try await lab.run(["ip", "-o", "addr", "show", "dev", end]).text.isEmpty else { return false }
            }
            return true
        }

        @Test func theServiceMakesAQuietPairAndLeavesOneThatIsThere() async throws {
            let commands = try text("virt-tap-mon0.service").split(separator: "\n").filter { $0.hasPrefix("ExecStart=") }.map {
                $0.dropFirst("ExecStart=".count).replacing("$$", with: "$")
            }
            #expect(commands.count == 3)
            try await LabHost.with(["--without-libvirtd", "--ipv6"]) { lab async throws in
                for _ in 1...2 {
                    for command in commands { try await lab.succeed("sh", "-c", String(command)) }
                    #expect(try await isQuietPair(lab))
                }
            }
        }

        @Test func networkdMakesAQuietPair() async throws {
            try await LabHost.with(["--without-libvirtd", "--ipv6"]) { lab async throws in
                for name in ["50-virt-tap-mon0.netdev", "50-virt-tap-mon0.network"] {
                    try lab.write(try text(name), to: "/run/systemd/network/" + name)
                }
                // With a /sys that can be written it would wait for udev, which does not run in a host of the lab.
                let command = "mount -o remount,bind,ro /sys && exec /lib/systemd/systemd-networkd"
                try await lab.start("networkd", ["unshare", "--mount", "sh", "-c", command])
                try await eventually("networkd has made the pair") { try await isQuietPair(lab) }
                try await lab.stop("networkd")
            }
        }
    }
}
