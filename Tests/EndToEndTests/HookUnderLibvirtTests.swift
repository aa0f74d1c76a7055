// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TestSupport
import Testing

/// The installed hook as libvirt really calls it, with programs in place of the binary that fail in every way.
extension EndToEnd {
    @Suite struct HookUnderLibvirtTests {
        /// A host whose libvirtd has the hook, with a shell script as its binary and one second as its limit.
        private func withHook(_ program: String, _ body: (LabHost, InstalledHook) async throws -> Void) async throws {
            try await InstalledHook.with(program) { hook async throws in
                try await hook.replace("limit=15", "limit=1")
                try await LabHost.with(["--without-libvirtd"]) { host async throws in
                    try host.write(hook.script(), to: "/etc/libvirt/hooks/qemu.d/virt-tap", mode: 0o755)
                    try await host.libvirtd("start")
                    try await body(host, hook)
                }
            }
        }

        @Test func aRefusalStopsTheStartAndIsRead() async throws {
            try await withHook("echo 'the tap ids cannot be placed' >&2; [ \"$4\" != start ] || exit 10") { host, _ async throws in
                var options = GuestOptions()
                options.start = false
                try await host.guest("refused", options)
                let result = try await host.run("virsh", "start", "refused")
                #expect(result.status != 0)
                #expect(result.errorText.contains("the tap ids cannot be placed"))
                #expect(try await host.virsh("list", "--name") == "")
            }
        }

        @Test(arguments: [
            "exit 1", "kill -SEGV $$", "trap '' TERM; sleep 60; sleep 60", "head -c 300000000 /dev/zero; head -c 300000000 /dev/zero >&2",
        ])
        func nothingElseKeepsAGuestFromStarting(_ program: String) async throws {
            try await withHook(program) { host, _ async throws in
                // More XML than a pipe holds, so that libvirt is left with some of it if nobody reads.
                let ballast = "<ballast xmlns='urn:test'>\(String(repeating: "x", count: 100_000))</ballast>"
                let guest = try await host.guest("starts", GuestOptions(ip: "192.0.2.11/24", metadata: ballast))
                #expect(try await guest.state == "running")
                try await guest.destroy()
                #expect(try await guest.state == "shut off")
            }
        }

        @Test func aRestartOfLibvirtdNeverEndsAGuest() async throws {
            try await withHook("[ \"$4\" != reconnect ] || { touch reconnected; exit 10; }") { host, hook async throws in
                let guest = try await host.guest("stays", GuestOptions(ip: "192.0.2.11/24"))
                try await host.libvirtd("restart")
                try await eventually("the hook was asked") { hook.exists("reconnected") }
                #expect(try await guest.state == "running")
                #expect(try await guest.succeed("echo alive") == "alive")
            }
        }
    }
}
