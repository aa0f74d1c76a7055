// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd {
    /// What should have been called and was not, what was there and is gone, and what does not come to an end. The guests here are started
    /// and never waited for.
    @Suite(.serialized, .tappedHost { _ in })
    struct NothingSilentTests {
        let host: TappedHost = .current
        private static let script = "/etc/libvirt/hooks/qemu.d/virt-tap"

        /// The script is there, and libvirtd was started before it was.
        @Test func aHookThatIsNeverCalledIsSaidOf() async throws {
            try await host.lab.libvirtd("stop")
            try await eventually("the daemon sees it") { try await host.status().daemon.connected == false }
            try await host.lab.succeed("mv", Self.script, "/run/hook")
            try await host.lab.libvirtd("start")
            try await host.lab.succeed("mv", "/run/hook", Self.script)
            try await eventually("virt-tapd is connected, and was there for a moment") {
                let daemon = try await host.status().daemon
                return daemon.connected == true
                    && Date.now.timeIntervalSince1970 - Double(daemon.since?.seconds ?? .max) > HookWatch.settling + 1
            }
            let strict = try await guest("strict", "<tap xmlns='urn:virt-tap:1' to='ids' required='yes'/>")
            try await eventually("it is noticed", within: .seconds(30)) { try await host.status().hook.missed != nil }
            #expect(try await host.status().daemon.warnings?.map(\.reason) == [.hookNotCalled])
            let tap = try await host.wait(for: "strict")
            #expect(tap.warnings.map(\.reason) == [.hookNotCalled])
            #expect(tap.warnings.first?.message.contains("nothing would have kept it from starting without this tap") == true)
            let table = try await host.virtTap("status").text
            #expect(table.contains("virt-tapd: libvirt started strict at "))
            #expect(table.contains("strict/ids: the guest was started at "))
            let doctor = try await host.virtTap("doctor").text
            #expect(doctor.contains(/fail +hook .*hook-not-called/), "\(doctor)")
            let easy = try await guest("easy", "<tap xmlns='urn:virt-tap:1' to='ids'/>")
            try await host.wait(for: "easy", "was started without it", within: .seconds(30)) {
                $0.warnings.map(\.reason) == [.hookNotCalled]
            }
            #expect(lines("no call of the hook came").count == 1)

            // libvirt tells of each guest that runs, by the hook that it has found now.
            try await host.lab.libvirtd("restart")
            try await eventually("a call came") { try await host.status().hook.missed == nil }
            #expect(try await host.status().daemon.warnings == [])
            #expect(try await host.wait(for: "strict").warnings.map(\.reason) == [.hookNotCalled])
            try await eventually("it is connected again") { try await host.status().daemon.connected == true }
            try await strict.destroy()
            try await strict.start()
            #expect(try await host.wait(for: "strict").warnings.isEmpty)
            try await eventually("its start was judged", within: .seconds(30)) {
                !lines("strict: the hook was called at its start").isEmpty
            }
            #expect(try await host.wait(for: "strict").warnings.isEmpty)
            #expect(try await host.status().hook.missed == nil)
            #expect(try await host.virtTap("doctor").text.contains(/ok +hook +installed, last called/))
            try await strict.destroy()
            try await easy.destroy()
        }

        /// A start calls the hook three times, a stop twice, and a restart of libvirtd once for each guest.
        @Test func aBinaryThatHangsIsWaitedForOnce() async throws {
            try await host.lab.succeed("sed", "-i", "s/^limit=.*/limit=4/", Self.script)
            let guest = try await guest("slow", "<tap xmlns='urn:virt-tap:1' to='ids'/>")
            try await guest.destroy()
            @discardableResult func life() async throws -> Duration {
                try await ContinuousClock().measure {
                    try await guest.start()
                    try await guest.destroy()
                }
            }
            func calls() async throws -> [String] {
                try await host.lab.succeed("cat", "/run/hook-calls").split(separator: "\n").map {
                    $0.split(separator: " ").joined(separator: " ")
                }
            }
            try await host.replaceHookBinary("echo \"$1 $4\" >>/run/hook-calls; exec sleep 1000")
            #expect(try await life() > .seconds(3))
            #expect(try await calls() == ["hook start"])
            // A start only asks whether the binary runs.
            try await life()
            #expect(try await calls() == ["hook start", "--version"])
            #expect(try await host.lab.succeed("stat", "-c", "%u %a", "/run/virt-tap/hook-timed-out") == "0 600")

            // What is required holds from the first start on at which it can.
            try await host.restoreHookBinary()
            try await host.lab.guest(
                "impossible", GuestOptions(metadata: "<tap xmlns='urn:virt-tap:1' to='elsewhere' required='yes'/>", start: false))
            let refused = try await host.lab.run("virsh", "start", "impossible")
            #expect(refused.status != 0 && refused.errorText.contains("no-such-destination"))
            #expect(try await host.lab.run("test", "-e", "/run/virt-tap/hook-timed-out").status == 1)
            try await guest.start()
            try await host.wait(for: "slow")
            try await guest.destroy()
        }

        @Test func aTapThatVanishesIsSaidOfOnce() async throws {
            let tap = "<tap xmlns='urn:virt-tap:1' to='ids'/>"
            let guest = try await guest("drops", tap)
            try await host.wait(for: "drops")
            // As a tool does that has the XML from elsewhere.
            let text = try await host.lab.virsh("dumpxml", "--inactive", "drops")
            let bare = text.replacing(/<metadata>[\s\S]*<\/metadata>/, with: "")
            #expect(bare != text)
            try host.lab.write(bare, to: "/run/bare.xml")
            try await host.lab.virsh("define", "/run/bare.xml")
            try await eventually("it is said") {
                lines("drops: tap ids is gone from its next start on: the definition was written anew").count == 1
            }
            #expect(try await host.wait(for: "drops").definition == .liveOnly)
            try await guest.destroy()
            try await guest.start()
            try await eventually("it has none") { try await host.tap(of: "drops") == nil }

            // What is removed in the ordinary way is not logged: of the running one, and of one that is off.
            try await host.virtTapSucceeds("set", "drops", "--to", "ids")
            try await host.wait(for: "drops")
            try await host.virtTapSucceeds("unset", "drops", "ids")
            try await host.waitForEnd(of: "drops")
            try await guest.destroy()
            try await host.virtTapSucceeds("set", "drops", "--to", "ids")
            try await host.wait(for: "drops", .pending, .domainNotRunning)
            try await host.lab.virsh("metadata", "--domain", "drops", "--uri", Guest.tapNamespace, "--config", "--remove")
            try await eventually("it is gone") { try await host.tap(of: "drops") == nil }

            // As a cloud does at a hard reboot; this line comes later than any of the others would.
            try await host.virtTapSucceeds("set", "drops", "--to", "ids")
            try await host.virtTapSucceeds("set", "drops", "--to", "span")
            try await host.wait(for: "drops", tap: "span", .pending, .domainNotRunning)
            try await host.lab.virsh("undefine", "drops")
            try await host.lab.virsh("define", "/run/bare.xml")
            try await guest.start()
            try await eventually("it is said") {
                lines("drops: taps ids, span are gone: the definition was written anew without them").count == 1
            }
            #expect(lines("If that is not meant").count == 2)
            try await guest.destroy()
        }

        /// --check while a device is not there that libvirt names: a moment is nothing, and more is.
        @Test func aDeviceThatStaysAwayIsAProblem() async throws {
            let guest = try await guest("away", "<tap xmlns='urn:virt-tap:1' to='ids'/>")
            let device = try #require(try await host.wait(for: "away").interfaces.first?.device)
            #expect(try await host.virtTap("status", "--check", "away").status == 0)
            try await host.lab.succeed("ip", "link", "delete", device)
            try await host.wait(for: "away", .pending, .deviceGone)
            #expect(try await host.virtTap("status", "--check", "away").status == 0)
            try await eventually("it is a problem") {
                try await host.virtTap("status", "--check", "away").status == 2
            }
            let tap = try await host.wait(for: "away", .pending, .deviceGone)
            #expect(Date.now.timeIntervalSince1970 - Double(try #require(tap.stateSince).seconds) > 10)
            try await guest.destroy()
        }

        private func guest(_ name: String, _ metadata: String) async throws -> Guest {
            var options = GuestOptions(metadata: metadata)
            options.ready = false
            return try await host.lab.guest(name, options)
        }

        private func lines(_ text: String) -> [Substring] { host.lab.log("virt-tapd").split(separator: "\n").filter { $0.contains(text) } }
    }
}
