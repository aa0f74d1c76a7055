// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd.OneGuestsLife {
    /// The tap through all that a domain's life consists of, except for its beginning, its migration and its snapshots.
    @Suite struct LifecycleTests {
        let host: TappedHost = .current
        var life: Guest { host.life }

        /// To a file, to where libvirt manages it, and with other metadata: each restore is a start, and no packet is missed.
        @Test func aSavedGuestGoesOnWithNothingMissing() async throws {
            let witness = try await host.lifeGoesOn()
            let first = try await host.wait(for: "life", tap: "t")
            try await host.lab.virsh("save", "life", "/run/life.save")
            try await isOff()
            try await host.lab.virsh("restore", "/run/life.save")
            let second = try await host.isTappedOnANewDevice(life, since: first)
            #expect(second.definition == .both && second.warnings.isEmpty)
            try await witness.moves(at: witness.ids)

            try await host.lab.virsh("managedsave", "life")
            try await isOff()
            // What is written meanwhile waits for the next boot: the image has the metadata as they were.
            try await setInactive("<tap name='t' to='span'/>")
            try await host.wait(for: "life", tap: "t", "to span at the next boot") { $0.destination == "span" }
            try await life.start()
            let third = try await host.isTappedOnANewDevice(life, since: second)
            #expect(third.destination == "ids" && third.definition == .differs)
            try await witness.moves(at: witness.ids)
            #expect(try witness.span.frames().isEmpty)
            try await setInactive("<tap name='t' to='ids'/>")
            try await host.wait(for: "life", tap: "t", "is as defined") { $0.definition == .both && $0.warnings.isEmpty }

            try await host.lab.virsh("save", "life", "/run/life.save")
            try await isOff()
            try await host.lab.succeed(
                "sh", "-c", "virsh save-image-dumpxml /run/life.save | sed \"s/to=.ids./to='span'/\" >/run/other.xml")
            try await host.lab.virsh("restore", "/run/life.save", "--xml", "/run/other.xml")
            let fourth = try await host.isTappedOnANewDevice(life, since: third)
            #expect(fourth.destination == "span" && fourth.definition == .differs)
            try await witness.moves(at: witness.span)
            try await life.setMetadata("<tap name='t' to='ids'/>")
            try await witness.moves(at: witness.ids)

            // A restore is a start for a required tap, too: one that cannot be placed refuses it, and the image stays.
            try await host.lab.virsh("save", "life", "/run/life.save")
            try await isOff()
            try await host.lab.succeed(
                "sh", "-c", "virsh save-image-dumpxml /run/life.save | sed \"s/to=.ids./to='nowhere' required='yes'/\" >/run/other.xml")
            let refused = try await host.lab.run("virsh", "restore", "/run/life.save", "--xml", "/run/other.xml")
            #expect(refused.status != 0 && refused.errorText.contains("required tap t is not in place"), "\(refused.errorText)")
            #expect(try await life.state == "shut off")
            #expect(try await host.pins(of: life).isEmpty)
            try await host.lab.virsh("restore", "/run/life.save")
            try await witness.moves(at: witness.ids)

            // One run of the guest's own program, over five devices. Counters began anew with each of them.
            let numbers = try await witness.everythingWasCopiedOnce { try await host.everyFrameIsCounted(of: life, tap: "t") }
            #expect(try numbers == Array(#require(numbers.first)...#require(numbers.last)))
            #expect(!host.lab.log("virt-tapd").contains("before its taps were in place"))
            try await witness.stop()
        }

        /// What happens to the machine and not to its device leaves the tap and its counters alone.
        @Test func aResetAndARebootKeepTheDeviceAndItsTap() async throws {
            let witness = try await host.lifeGoesOn()
            let before = try await host.wait(for: "life", tap: "t")
            let pins = try await host.pins(of: life)
            for reboot in ["reset", "reboot"] {
                let burst = try witness.ids.numbers("burst", from: "life").count
                try await host.lab.virsh(reboot, "life")
                // Nobody in this guest listens to the power button that libvirt presses; libvirt waits for its end, which
                // it makes a reset.
                if reboot == "reboot" { try await life.succeed("(sleep 0.2; poweroff -f) >/dev/null 2>&1 &") }
                try await eventually("it boots again after \(reboot)", within: .seconds(60)) {
                    try witness.ids.numbers("burst", from: "life").count == burst + Life.burst
                }
                try await witness.moves(at: witness.ids)
                #expect(try await life.state == "running")
                #expect(try await host.pins(of: life) == pins)
                if reboot == "reset" { try await life.ready() }
            }
            try await host.lab.succeed("busybox", "ping", "-c", "5", "-i", "0.1", "192.0.2.31")
            _ = try await witness.everythingWasCopiedOnce { try await host.everyFrameIsCounted(of: life, tap: "t") }
            let after = try await host.wait(for: "life", tap: "t")
            #expect(after.interfaces.first?.since == before.interfaces.first?.since)
            #expect(try await host.pins(of: life) == pins)
            try await witness.stop()
        }

        /// Destroyed, killed, and killed with nobody there to notice; at last libvirtd starts it by itself.
        @Test func anEndIsAnEndHoweverItComes() async throws {
            var witness = try await host.lifeGoesOn()
            try await witness.stop()
            let first = try await host.wait(for: "life", tap: "t")
            try await life.destroy()
            try await isOff()
            try await life.start()
            let second = try await host.isTappedOnANewDevice(life, since: first)
            #expect(second.definition == .both && second.warnings.isEmpty)
            try await host.killQEMU(of: life)
            try await isOff()

            try await life.start()
            #expect(try await host.tap("t", of: "life")?.state == .active)
            try await host.lab.virsh("autostart", "life")
            try await host.lab.libvirtd("stop")
            try await host.killQEMU(of: life)
            try await eventually("nothing is left of a device that is gone") { try host.pins().isEmpty }
            // As at the host's boot, when /run is empty: a libvirtd that was here before starts nothing by itself.
            for file in ["autostarted", "life.xml", "life.pid"] { try await host.lab.succeed("rm", "/run/libvirt/qemu/\(file)") }
            witness = try await Witness(life, mac: Life.mac)
            try await host.lab.libvirtd("start")
            try await witness.moves(at: witness.ids)
            #expect(try witness.ids.numbers("burst", from: "life") == Array(1...Life.burst))
            let numbers = try await witness.everythingWasCopiedOnce()
            #expect(numbers == Array(1...numbers.count))
            let tap = try await host.wait(for: "life", tap: "t")
            #expect(tap.definition == .both && tap.warnings.isEmpty)
            #expect(!host.lab.log("virt-tapd").contains("before its taps were in place"))
            try await host.lab.virsh("autostart", "--disable", "life")
            try await witness.stop()
        }

        /// The name and the definition may change or go; what is copied is what the running domain's XML says.
        @Test func aRunningGuestKeepsItsTapWhateverIsDefined() async throws {
            try await host.lifeGoesOn().stop()
            try await life.destroy()
            try await isOff()
            try await host.lab.virsh("domrename", "life", "other")
            let other = Guest(host: host.lab, name: "other")
            try await eventually("it is known by its new name only") {
                let (new, old) = (try await host.taps(of: "other"), try await host.taps(of: "life"))
                return new.map(\.reason) == [.domainNotRunning] && old.isEmpty
            }
            try await other.start()
            #expect(try await host.tap("t", of: "other")?.state == .active)
            let pins = try await host.pins(of: other)
            #expect(!pins.isEmpty)

            // Transient from now on: there is no next start, and nothing to warn of.
            try await host.lab.virsh("undefine", "other")
            let transient = try await host.wait(for: "other", tap: "t", "is live only") { $0.definition == .liveOnly }
            #expect(transient.state == .active && transient.warnings.isEmpty)
            // No metadata event comes with these.
            try await define("<tap name='t' to='ids' direction='outbound'/><tap name='more' to='span'/>")
            let differs = try await host.wait(for: "other", tap: "t", "differs") { $0.definition == .differs }
            #expect(differs.state == .active && differs.direction == .both && differs.warnings.map(\.reason) == [.definitionDiffers])
            let coming = try await host.wait(for: "other", tap: "more", .pending, .nextStart)
            #expect(coming.definition == .configOnly)
            #expect(try await host.pins(of: other) == pins)

            try await other.destroy()
            try await host.waitForEnd(of: "other", tap: "t")
            try await other.start()
            let taps = try await host.taps(of: "other")
            #expect(taps.map(\.state) == [.active, .active] && taps.map(\.definition) == [.both, .both])
            #expect(taps.first?.direction == .outbound && taps.first?.interfaces.first?.inbound == nil)
            #expect(try await host.attachments(of: other) == 2)

            try await define("")
            let last = try await host.wait(for: "other", tap: "more", "is live only") { $0.definition == .liveOnly }
            #expect(last.state == .active && last.warnings.map(\.reason) == [.definitionDiffers])
            try await other.destroy()
            try await host.waitForEnd(of: "other", tap: "more")
            try await other.start()
            #expect(try await host.taps(of: "other").isEmpty)
            #expect(try await host.pins(of: other).isEmpty)
            try await host.lab.virsh("undefine", "other")
            try await other.destroy()
            try await eventually("nothing is known of it") {
                guard try await host.status().taps.isEmpty else { return false }
                return try host.pins().isEmpty
            }
        }

        /// Defines what is called `other`, and runs, with other taps.
        private func define(_ taps: String) async throws {
            let metadata = taps.isEmpty ? "" : "<v:taps xmlns:v=\"\(Guest.tapNamespace)\" xmlns=\"\(Guest.tapNamespace)\">\(taps)</v:taps>"
            let path = try host.lab.path(Life.definition)
            var xml = try String(contentsOfFile: path, encoding: .utf8).replacingOccurrences(
                of: "<name>life</name>", with: "<name>other</name>")
            let start = try #require(xml.range(of: "<metadata>"))
            let end = try #require(xml.range(of: "</metadata>"))
            xml.replaceSubrange(start.upperBound..<end.lowerBound, with: metadata)
            let result = try await host.lab.run(["virsh", "-q", "define", "/dev/stdin"], input: Data(xml.utf8))
            guard result.status == 0 else { throw CommandFailure(result: result, timeout: nil) }
        }

        private func isOff() async throws {
            try await host.waitForEnd(of: "life", tap: "t")
            try await host.wait(for: "life", tap: "t", .pending, .domainNotRunning)
            #expect(try await host.pins(of: life).isEmpty)
        }

        private func setInactive(_ element: String) async throws {
            try await host.lab.virsh(
                "metadata", "--domain", "life", "--uri", Guest.tapNamespace, "--key", "tap", "--config", "--set", element)
        }
    }
}
