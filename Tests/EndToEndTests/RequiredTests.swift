// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd {
    /// A tap with `required="yes"`: its domain does not start here without it, and once it runs nothing ends it.
    /// Incoming migration is in `MigrationTests`.
    @Suite(.serialized, .tappedHost { _ in })
    struct RequiredTests {
        let host: TappedHost = .current

        @Test func aDomainDoesNotStartWhereItsTapCannotBePlaced() async throws {
            let guest = try await define("strict", "<t:tap xmlns:t='urn:virt-tap:1' to='elsewhere' required='yes'/>")
            try await expectRefusal("start", "strict", "required tap elsewhere is not in place: no-such-destination")
            #expect(try await guest.state == "shut off")
            // With nobody there to place it, too; a tap that is not required waits for nobody.
            let easy = try await define("easy", "<tap xmlns='urn:virt-tap:1' to='ids'/>")
            try await host.stopDaemon()
            try await expectRefusal("start", "strict", "required tap elsewhere is not in place")
            try await easy.start()
            try await host.startDaemon()
            try await host.wait(for: "easy")
            try await easy.destroy()
            // A destination that is only down does not count.
            try await host.reload("<virt-tap><destination name='elsewhere'><interface name='not-yet'/></destination></virt-tap>")
            try await eventually("the configuration is loaded") { try await host.status().destinations.map(\.name) == ["elsewhere"] }
            try await guest.start()
            try await host.wait(for: "strict", tap: "elsewhere", .failed, .destinationDown)
            try await guest.destroy()
            try await loadConfiguration(TappedHost.configuration)
        }

        /// A daemon that has no configuration answers all the same.
        @Test func withoutAConfigurationOnlyARequiredTapStopsAStart() async throws {
            let strict = try await define("unknown-strict", "<t:tap xmlns:t='urn:virt-tap:1' to='ids' required='yes'/>")
            let easy = try await define("unknown-easy", "<tap xmlns='urn:virt-tap:1' to='ids'/>")
            try await host.stopDaemon()
            try host.configure("<virt-tap><destination nmae='ids'/></virt-tap>")
            try await host.startDaemon()
            try await expectRefusal(
                "start", "unknown-strict",
                "required tap ids is not in place: config-invalid: the host's configuration cannot be used: "
                    + "\(TappedHost.configurationPath):1")
            try await easy.start()
            try await host.wait(for: "unknown-easy", .failed, .configInvalid)
            try host.configure(TappedHost.configuration)
            try await host.wait(for: "unknown-easy", within: .seconds(60))
            try await strict.start()
            try await host.wait(for: "unknown-strict")
            try await easy.destroy()
            try await strict.destroy()
        }

        /// What is wrong with a tap matters only if it is required.
        @Test(arguments: [
            ("bogus='1' to='ids'", "invalid-metadata"), ("to='elsewhere'", "no-such-destination"),
        ])
        func onlyARequiredTapStopsAStart(_ attributes: String, _ reason: String) async throws {
            let name = reason
            let guest = try await define(name, "<tap xmlns='urn:virt-tap:1' name='t' \(attributes) required='yes'/>")
            try await expectRefusal("start", name, "required tap t is not in place: \(reason)")
            try await host.lab.virsh(
                "metadata", "--domain", name, "--uri", Guest.tapNamespace, "--key", "tap", "--config", "--set",
                "<tap name='t' \(attributes)/>")
            try await guest.start()
            try await host.wait(for: name, tap: "t", "\(reason)") { $0.reason?.rawValue == reason }
            try await guest.destroy()
        }

        @Test func aGuestIsNotRestoredWithoutItsTapAndNeverEndedForIt() async throws {
            let guest = try await host.lab.guest(
                "saved", GuestOptions(ip: "192.0.2.31/24", metadata: "<tap xmlns='urn:virt-tap:1' to='ids' required='yes'/>"))
            try await host.wait(for: "saved")
            let words = "required tap ids is not in place: no-such-destination"

            try await host.lab.virsh("managedsave", "saved")
            try await loadConfiguration("<virt-tap/>")
            try await expectRefusal("start", "saved", words)
            #expect(try await guest.state == "shut off")
            #expect(try await host.lab.virsh("dominfo", "saved").contains(/Managed save: +yes/))
            try await loadConfiguration(TappedHost.configuration)
            try await guest.start()
            try await expectAlive(guest)

            try await host.lab.virsh("save", "saved", "/run/saved")
            try await loadConfiguration("<virt-tap/>")
            try await expectRefusal("restore", "/run/saved", words)
            #expect(try await guest.state == "shut off")
            try await loadConfiguration(TappedHost.configuration)
            try await host.lab.virsh("restore", "/run/saved")
            try await expectAlive(guest)

            // It runs: now it is not ended because its tap cannot be.
            try await loadConfiguration("<virt-tap/>")
            try await host.wait(for: "saved", .failed, .noSuchDestination)
            try await host.lab.libvirtd("restart")
            #expect(try await guest.state == "running")
            try await host.stopDaemon()
            try await host.lab.libvirtd("restart")
            #expect(try await guest.state == "running")
            try await host.startDaemon()
            try await loadConfiguration(TappedHost.configuration)
            try await expectAlive(guest)
            // An interface that cannot be tapped is plugged in all the same.
            try await guest.plug("<interface type='user'><mac address='52:54:00:aa:bb:31'/><model type='virtio'/></interface>")
            try await host.wait(for: "saved", .degraded, .interfaceTypeUnsupported)
            #expect(try await guest.state == "running")
            try await guest.destroy()
        }

        private func define(_ name: String, _ metadata: String) async throws -> Guest {
            try await host.lab.guest(name, GuestOptions(metadata: metadata, start: false))
        }

        private func expectRefusal(_ command: String, _ what: String, _ why: String) async throws {
            let result = try await host.lab.run("virsh", command, what)
            #expect(result.status != 0)
            #expect(result.errorText.contains(why), "\(result.errorText)")
        }

        private func expectAlive(_ guest: Guest) async throws {
            try await host.wait(for: guest.name)
            let sensor = try await Sensor(host.lab, at: "ids1")
            try await Flow.send(20, from: guest, to: "192.0.2.255").isComplete(at: sensor, 20)
            #expect(try await sensor.stop() == 0)
        }

        private func loadConfiguration(_ configuration: String) async throws {
            try await host.reload(configuration)
            let count = configuration.components(separatedBy: "<destination ").count - 1
            try await eventually("the configuration is loaded") { try await host.status().destinations.count == count }
        }
    }
}
