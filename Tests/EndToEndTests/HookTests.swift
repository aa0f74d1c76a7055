// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
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

        /// Missing, failing, crashing, hanging, talking: the guest starts, and a restart of libvirtd leaves it running.
        @Test func aBrokenBinaryHarmsNoGuest() async throws {
            let limits = "sed -i 's/^limit=.*/limit=2/' /etc/libvirt/hooks/qemu.d/virt-tap"
            try await host.lab.succeed("/bin/sh", "-ec", limits)
            let programs = [
                "missing": nil, "failing": "exit 1", "refusing": "exit 10", "crashing": "kill -SEGV $$", "killed": "kill -KILL $$",
                "sleeping": "sleep 1000", "deaf": "trap '' TERM; sleep 1000 & wait; wait", "talking": "echo '<domain/>'; yes >&2",
            ]
            for (name, program) in programs.sorted(by: { $0.key < $1.key }) {
                if let program {
                    try await host.replaceHookBinary(program)
                } else {
                    try await host.lab.succeed("rm", TappedHost.hookBinary)
                }
                var options = GuestOptions(metadata: "<tap xmlns='urn:virt-tap:1' to='ids'/>", start: false)
                options.ready = false
                let guest = try await host.lab.guest(name, options)
                let start = try await host.lab.run("virsh", "-q", "start", "--domain", name)
                if name == "refusing" {
                    // The one word that stops a guest. virt-tap itself says it only for a required tap.
                    #expect(start.status != 0)
                    continue
                }
                #expect(start.status == 0, "\(name): \(start.errorText)")
                #expect(try await guest.state == "running", "\(name)")
                // Without the hook's help the tap comes by the event.
                try await host.wait(for: name)
            }
            try await host.lab.libvirtd("restart")
            for name in programs.keys.sorted() where name != "refusing" {
                #expect(try await Guest(host: host.lab, name: name).state == "running", "\(name)")
                try await Guest(host: host.lab, name: name).destroy()
            }
            try await host.restoreHookBinary()
            try await eventually("no pins are left") { try host.pins().isEmpty }
        }
    }
}
