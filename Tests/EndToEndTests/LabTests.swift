// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TestSupport
import Testing

/// A host is a world of its own, and leaves nothing behind however it ends.
extension EndToEnd {
    @Suite struct LabTests {
        @Test func twoHostsStandSideBySide() async throws {
            try await LabHost.with { one async throws in
                try await LabHost.with { two async throws in
                    try await one.link("to-two", to: two, "to-one")
                    try await one.succeed("ip", "address", "add", "203.0.113.1/30", "dev", "to-two")
                    try await two.succeed("ip", "address", "add", "203.0.113.2/30", "dev", "to-one")
                    #expect(try await one.run("busybox", "ping", "-c", "1", "-W", "5", "203.0.113.2").status == 0)
                    let ids = try await [one.virsh("capabilities"), two.virsh("capabilities")].map {
                        $0.split(separator: "\n").first { $0.contains("<uuid>") }
                    }
                    #expect(ids[0] != nil && ids[0] != ids[1])
                    try await one.succeed("touch", "/etc/virt-tap/mine")
                    #expect(try await two.run("test", "-e", "/etc/virt-tap/mine").status == 1)
                }
            }
        }

        @Test func aRunningGuestMovesToAnotherHost() async throws {
            try await LabHost.with { one async throws in
                try await LabHost.with { two async throws in
                    try await one.link("to-two", to: two, "to-one")
                    try await one.succeed("ip", "address", "add", "203.0.113.1/30", "dev", "to-two")
                    try await two.succeed("ip", "address", "add", "203.0.113.2/30", "dev", "to-one")
                    let guest = try await one.guest("mover", GuestOptions(ip: "192.0.2.11/24"))
                    try await guest.succeed("touch /tmp/before")
                    let moved = try await guest.migrate(to: two, address: "203.0.113.2")
                    #expect(try await moved.state == "running")
                    try await moved.succeed("test -e /tmp/before")
                    #expect(try await two.run("busybox", "ping", "-c", "1", "-W", "5", "192.0.2.11").status == 0)
                    #expect(try await one.virsh("list", "--name") == "")
                }
            }
        }

        @Test func nothingIsLeftBehind() async throws {
            let mounts = try mountPoints()
            let (folder, network) = try await LabHost.with { host async throws in
                try await host.guest("there")
                try await host.start("sleeper", ["sleep", "1000"])
                try await host.succeed("ip", "netns", "add", "inner")
                try await host.succeed("touch", "/var/lib/libvirt/mark", "/etc/mark", "/run/mark")
                return (host.folder, try await host.succeed("readlink", "/proc/self/ns/net"))
            }
            try expectGone(folder, network)
            #expect(try mountPoints() == mounts)
            for path in ["/var/lib/libvirt/mark", "/etc/mark", "/run/mark", "/run/netns/inner"] {
                #expect(!FileManager.default.fileExists(atPath: path))
            }
        }

        @Test func aHostWhoseInitWasKilledIsCleanedUp() async throws {
            let (folder, network) = try await LabHost.with { host async throws in
                try await host.guest("there")
                let pid = try #require(
                    pid_t(String(try String(contentsOfFile: host.folder + "/host.pid", encoding: .utf8).prefix { $0 != " " })))
                let network = try await host.succeed("readlink", "/proc/self/ns/net")
                kill(pid, SIGKILL)
                return (host.folder, network)
            }
            try expectGone(folder, network)
        }

        @Test func aHostEndsWithItsTest() async throws {
            let (folder, network) = try await LabHost.with { host async throws in
                let network = try await host.succeed("readlink", "/proc/self/ns/net")
                try host.abandon()
                try await eventually("the host has ended") { inhabitants(of: network).isEmpty }
                return (host.folder, network)
            }
            try expectGone(folder, network)
        }

        @Test func aFailedStartCleansUp() async throws {
            let folder = (NSTemporaryDirectory() as NSString).appendingPathComponent("lab-none")
            let result = try await Command([LabHost.script, "up", folder, "--no-such-option"]).run()
            #expect(result.status == 1)
            #expect(result.errorText.contains("--no-such-option"))
            #expect(!FileManager.default.fileExists(atPath: folder))
        }

        private func expectGone(_ folder: String, _ network: String) throws {
            #expect(!FileManager.default.fileExists(atPath: folder))
            #expect(inhabitants(of: network) == [])
        }

        /// Processes whose network namespace is this one ("net:[…]").
        private func inhabitants(of network: String) -> [String] {
            let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
            return processes.filter { Int($0) != nil }.filter {
                (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\($0)/ns/net")) == network
            }
        }

        private func mountPoints() throws -> [Substring] {
            try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8).split(separator: "\n")
        }
    }
}
