// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd {
    /// What libvirt's hook can and cannot do to a guest. The guests here are started and never waited for.
    @Suite(.serialized, .tappedHost { _ in })
    struct HookTests {
        let host: TappedHost = .current

        /// libvirt takes nearly everything for a name. Control characters are not possible in XML 1.0, but for these two.
        @Test(arguments: ["--help", "-1", "$(id)", "a b;c'd\"e<&>`id`", "ünï\u{202e}\u{200b}", "tab\there", "two\u{85}lines\u{9b}31m"])
        func aGuestWithAnyNameIsTapped(_ name: String) async throws {
            var options = GuestOptions(metadata: "<tap xmlns='urn:virt-tap:1' to='ids'/>")
            options.ready = false
            options.transient = true
            let guest = try await host.lab.guest(name, options)
            // The hook has done it: libvirt says the guest runs only afterwards.
            let tap = try #require(try await host.tap(of: name))
            #expect(tap.state == .active)
            let table = try await host.virtTap("status", "--", name)
            #expect(table.status == 0)
            #expect(table.text.contains("active"))
            #expect(table.text.unicodeScalars.allSatisfy { !Self.harmful.contains($0) }, "\(table.text.debugDescription)")
            let log = host.lab.log("virt-tapd")
            #expect(log.unicodeScalars.allSatisfy { !Self.harmful.contains($0) })
            #expect(!log.contains("uid=0"))
            try await guest.destroy()
            try await eventually("the guest is forgotten") { try await host.taps(of: name).isEmpty && host.pins().isEmpty }
        }

        private static let harmful = Set<Unicode.Scalar>("\u{1b}\u{9b}\u{85}\u{202e}\u{200b}\t".unicodeScalars)

        /// Failing, crashing, hanging, talking: the guest starts, and a restart of libvirtd leaves it running.
        @Test func aBrokenBinaryHarmsNoGuest() async throws {
            try await host.lab.succeed("sed", "-i", "s/^limit=.*/limit=1/", "/etc/libvirt/hooks/qemu.d/virt-tap")
            let flaws = [
                "failing": "exit 1", "crashing": "kill -SEGV $$", "killed": "kill -KILL $$", "sleeping": "sleep 1000",
                "deaf": "trap '' TERM; while :; do sleep 1; done", "talking": "echo '<domain/>'; yes >&2",
                // The one word that stops a guest, and only before it runs; virt-tap says it only for a required tap.
                "refusing": "exit 10", "late": "case $4 in prepare | start) ;; *) exit 10 ;; esac",
            ]
            // hook -- GUEST OPERATION
            let cases = flaws.map { "\($0)) \($1) ;;" }.sorted().joined(separator: "\n")
            try await host.replaceHookBinary("case $3 in\n\(cases)\nesac")
            let started = try await withThrowingTaskGroup { group in
                for name in flaws.keys {
                    group.addTask { (name, try await start(name)) }
                }
                return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            #expect(started.filter { !$0.value }.map(\.key) == ["refusing"])
            let running = flaws.keys.filter { $0 != "refusing" }.sorted()
            // Without the hook's help the tap comes by the event.
            for name in running { try await host.wait(for: name) }
            try await host.lab.libvirtd("restart")
            try await expectRunning(running)

            try await host.lab.succeed("rm", TappedHost.hookBinary)
            #expect(try await start("missing"))
            try await host.wait(for: "missing")
            try await host.lab.libvirtd("restart")
            try await expectRunning(running + ["missing"])
            for name in running + ["missing"] { try await Guest(host: host.lab, name: name).destroy() }
            try await host.restoreHookBinary()
            try await eventually("no pins are left") { try host.pins().isEmpty }
        }

        /// Whether a tapped guest starts.
        private func start(_ name: String) async throws -> Bool {
            try await host.lab.guest(name, GuestOptions(metadata: "<tap xmlns='urn:virt-tap:1' to='ids'/>", start: false))
            return try await host.lab.run("virsh", "-q", "start", "--domain", name).status == 0
        }

        private func expectRunning(_ names: [String]) async throws {
            for name in names {
                #expect(try await Guest(host: host.lab, name: name).state == "running", "\(name)")
            }
        }
    }
}
