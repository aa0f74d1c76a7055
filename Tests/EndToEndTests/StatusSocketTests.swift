// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd {
    /// `<control group>`, by a daemon with no more rights than its unit gives it.
    @Suite struct StatusSocketTests {
        private static let asUnit = LabHost.repository + "/scripts/as-unit"

        @Test func aGroupThatIsNotThereStopsNothingAndComesLater() async throws {
            try await LabHost.with(["--without-libvirtd"]) { lab async throws in
                let virtTap = try TappedHost.program("virt-tap")
                try lab.write("<virt-tap>\n<control group='vt-watchers'/>\n</virt-tap>\n", to: TappedHost.configurationPath)
                try await lab.start("virt-tapd", [Self.asUnit, TappedHost.program("virt-tapd")])
                var text = ""
                try await eventually("status says that the socket is missing") {
                    let status = try await lab.run([virtTap, "status"])
                    text = status.text
                    return status.status == 0 && text.contains("(status-socket-missing)")
                }
                #expect(text.contains("no group \"vt-watchers\"") && text.contains("groupadd --system"))
                #expect(lab.log("virt-tapd").split(separator: "\n").count { $0.contains("no status socket") } == 1)
                let check = try await lab.run([virtTap, "check"])
                #expect(check.status == 0 && check.text.contains("(status-socket-missing)"))
                let warned = try await lab.run([virtTap, "reload"])
                #expect(warned.status == 0 && warned.errorText.contains("no group \"vt-watchers\""), "\(warned.errorText)")

                try await lab.succeed("groupadd", "--system", "vt-watchers")
                let reloaded = try await lab.run([virtTap, "reload"])
                #expect(reloaded.status == 0 && reloaded.errorText.isEmpty, "\(reloaded.errorText)")
                #expect(try await lab.run([virtTap, "status"]).text.contains("status-socket-missing") == false)
                func nobody(_ groups: String, _ arguments: String...) async throws -> CommandResult {
                    try await lab.run(["setpriv", "--reuid=65534", "--regid=65534", groups, virtTap] + arguments)
                }
                #expect(try await nobody("--groups=vt-watchers", "status").status == 0)
                #expect(try await nobody("--clear-groups", "status").status == 1)
                #expect(try await nobody("--groups=vt-watchers", "reload").status == 1)
                #expect(try await nobody("--groups=vt-watchers", "purge", "--now").status == 1)
                // It has joined the group for that moment only.
                let pid = try #require(try await lab.pid(of: "virt-tapd"))
                let groups = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8).split(separator: "\n").first {
                    $0.hasPrefix("Groups:")
                }
                let id = try await lab.succeed("stat", "-c", "%g", "/run/virt-tap/status.sock").trimmingCharacters(
                    in: .whitespacesAndNewlines)
                #expect(groups?.split(whereSeparator: \.isWhitespace).contains(Substring(id)) == false)
                // Without the element it goes.
                try lab.write("<virt-tap/>", to: TappedHost.configurationPath)
                try await lab.succeed(virtTap, "reload")
                #expect(try await nobody("--groups=vt-watchers", "status").status == 1)
                try await lab.stop("virt-tapd")
            }
        }
    }
}
