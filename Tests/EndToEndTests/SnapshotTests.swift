// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import Testing

extension EndToEnd.OneGuestsLife {
    /// A snapshot holds the domain's definition as it was, its taps included. A revert brings them back without an event
    /// that says so, and makes another device.
    @Suite struct SnapshotTests {
        let host: TappedHost = .current
        var life: Guest { host.life }

        @Test func aRevertBringsBackTheTapOfTheSnapshotWithNothingMissing() async throws {
            let witness = try await host.lifeGoesOn()
            try await snapshot("to-ids")
            try await setMetadata("<tap name='t' to='span'/>")
            let before = try await host.wait(for: "life", tap: "t", "to span") { $0.state == .active && $0.destination == "span" }
            try await witness.moves(at: witness.span)

            try await host.lab.virsh("snapshot-revert", "life", "to-ids")
            let reverted = try await host.isTappedOnANewDevice(life, since: before)
            #expect(reverted.destination == "ids" && reverted.definition == .both && reverted.warnings.isEmpty)
            let end = try witness.span.frames().count
            try await witness.moves(at: witness.ids)

            // To one without a tap, and back. The guest stands still while it has none: nothing is to be missed.
            try await host.lab.virsh("suspend", "life")
            for side in ["--live", "--config"] {
                try await host.lab.virsh("metadata", "--domain", "life", "--uri", Guest.tapNamespace, side, "--remove")
            }
            try await host.waitForEnd(of: "life", tap: "t")
            try await snapshot("bare")
            try await setMetadata("<tap name='t' to='ids'/>")
            let again = try await host.wait(for: "life", tap: "t")
            try await host.lab.virsh("resume", "life")
            try await witness.moves(at: witness.ids)
            try await host.lab.virsh("snapshot-revert", "life", "bare", "--paused")
            #expect(try await host.taps(of: "life").isEmpty)
            #expect(try await host.pins(of: life).isEmpty)
            try await host.lab.virsh("snapshot-revert", "life", "to-ids")
            _ = try await host.isTappedOnANewDevice(life, since: again)
            try await witness.moves(at: witness.ids)

            _ = try await witness.everythingWasCopiedOnce { try await host.everyFrameIsCounted(of: life, tap: "t") }
            #expect(try witness.span.frames().count == end)
            #expect(!host.lab.log("virt-tapd").contains("before its taps were in place"))
            try await removeSnapshots("to-ids", "bare")
            try await witness.stop()
        }

        @Test func aRevertOfAGuestThatIsOffIsNoticedToo() async throws {
            var witness = try await host.lifeGoesOn()
            try await snapshot("running")
            try await life.destroy()
            try await host.wait(for: "life", tap: "t", .pending, .domainNotRunning)
            try await witness.stop()
            try await snapshot("off")
            try await host.lab.virsh(
                "metadata", "--domain", "life", "--uri", Guest.tapNamespace, "--key", "tap", "--config", "--set",
                "<tap name='t' to='span'/>")
            try await host.wait(for: "life", tap: "t", "to span") { $0.destination == "span" }
            try await host.lab.virsh("snapshot-revert", "life", "off")
            let reverted = try await host.wait(for: "life", tap: "t", "to ids again") { $0.destination == "ids" }
            #expect(reverted.reason == .domainNotRunning)

            // From off to running: a start like any other.
            witness = try await Witness(life, mac: Life.mac)
            try await host.lab.virsh("snapshot-revert", "life", "running")
            #expect(try await host.tap("t", of: "life")?.state == .active)
            try await witness.moves(at: witness.ids)
            _ = try await witness.everythingWasCopiedOnce()
            // And back: the guest is off, and nothing of its device is left.
            try await host.lab.virsh("snapshot-revert", "life", "off")
            try await host.waitForEnd(of: "life", tap: "t")
            #expect(try await host.pins(of: life).isEmpty)
            try await removeSnapshots("off", "running")
            try await witness.stop()
        }

        /// libvirt ends the guest before it starts the snapshot's, so that a refusal leaves none.
        @Test func aRevertToARequiredTapThatCannotBePlacedIsRefused() async throws {
            let witness = try await host.lifeGoesOn(isBooted: false)
            try await setMetadata("<tap name='t' to='nowhere' required='yes'/>")
            try await host.wait(for: "life", tap: "t", .failed, .noSuchDestination)
            try await snapshot("strict")
            try await setMetadata("<tap name='t' to='ids'/>")
            try await host.wait(for: "life", tap: "t")
            let result = try await host.lab.run("virsh", "snapshot-revert", "life", "strict")
            #expect(result.status != 0 && result.errorText.contains("required tap t is not in place"), "\(result.errorText)")
            #expect(try await life.state == "shut off")
            try await host.waitForEnd(of: "life", tap: "t")
            #expect(try await host.pins(of: life).isEmpty)
            try await removeSnapshots("strict")
            try await witness.stop()
        }

        private func snapshot(_ name: String) async throws {
            try await host.lab.virsh("snapshot-create-as", "life", name)
        }

        private func removeSnapshots(_ names: String...) async throws {
            for name in names { try await host.lab.virsh("snapshot-delete", "life", name) }
        }

        private func setMetadata(_ element: String) async throws {
            try await host.lab.virsh(
                "metadata", "--domain", "life", "--uri", Guest.tapNamespace, "--key", "tap", "--live", "--config", "--set", element)
        }
    }
}
