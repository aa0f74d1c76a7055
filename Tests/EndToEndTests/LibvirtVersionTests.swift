// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd {
    /// What the other suites show with this machine's libvirtd, in short with the libvirt of Debian 12's backports: its
    /// libvirtd, and its virtqemud.
    @Suite(.serialized) struct LibvirtVersionTests {
        enum Kind: String, CaseIterable {
            /// virt-tapd was started before libvirt was upgraded: it has the older library.
            case libvirtd
            /// Nobody says what to connect to.
            case virtqemud
        }

        private func withHost(_ kind: Kind, _ body: (TappedHost) async throws -> Void) async throws {
            let (options, environment): ([String], [String]) =
                switch kind {
                case .libvirtd: ([], ["LD_LIBRARY_PATH=/run/vt-lab/usr/lib/x86_64-linux-gnu"])
                case .virtqemud: (["--modular"], ["-u", "LIBVIRT_DEFAULT_URI"])
                }
            try await TappedHost.with(["--libvirt", "11.3"] + options, environment: environment, body)
        }

        @Test(arguments: Kind.allCases) func aGuestIsTappedAllItsLife(_ kind: Kind) async throws {
            try await withHost(kind) { host async throws in
                #expect(try await host.status().host.libvirt == "11.3.0")
                try await usesTheLibrary(of: kind, host)
                let sensor = try await Sensor(host.lab, at: "ids1")
                let guest = try await host.lab.guest("web1", web1)
                try await eventually("the guest's first packets") { try sensor.numbers("burst", from: "web1") == Array(1...burstLength) }
                try await saysWhatRuns(kind, host)
                try await followsChanges(of: guest, host)
                let flow = try await Flow.start(guest, to: "192.0.2.255")
                try await flow.moves(at: sensor)
                let pins = try await host.pins(of: guest)
                try await outlivesLibvirt(flow, at: sensor, host)
                // One that comes while libvirt is away finds the taps by itself.
                try await host.lab.libvirtd("kill")
                try await host.stopDaemon()
                try await host.startDaemon()
                try await host.lab.libvirtd("start")
                try await connected(host)
                try await host.wait(for: "web1", "is known with its domain") { $0.state == .active && $0.running == true }
                #expect(try await host.pins(of: guest) == pins)
                try await flow.moves(at: sensor)
                let numbers = try flow.numbers(in: sensor)
                #expect(numbers == Array(1...numbers.count))
                try await flow.stop()
                try await isSavedAndRestored(guest, at: sensor, host)
                try await guest.destroy()
                try await host.waitForEnd(of: "web1")
                #expect(try await sensor.stop() == 0)
                #expect(try host.pins().isEmpty)
            }
        }

        /// Ends itself when it has no guest and no client, and is there again for the first who comes.
        @Test func virtqemudThatIsStartedBySockets() async throws {
            try await withHost(.virtqemud) { host async throws in
                try await host.stopDaemon()
                try await host.lab.libvirtd("stop")
                // Longer than a busy machine needs from its start to its first client.
                let idle = 4
                try await host.lab.activateLibvirtd(idle: idle)
                #expect(starts(host) == 1)
                let lost = losses(host)

                // virt-tapd is a client: it starts virtqemud, and while it is there virtqemud stays.
                try await host.startDaemon()
                try await connected(host)
                #expect(starts(host) == 2)
                try await Task.sleep(for: .seconds(idle + 2))
                #expect(starts(host) == 2 && losses(host) == lost)
                #expect(try await host.status().daemon.connected == true)

                // With its last client virtqemud goes, and comes back with the next.
                try await host.stopDaemon()
                try await eventually("virtqemud ends when idle") { try await processes(host).isEmpty }
                try await host.startDaemon()
                try await connected(host)
                #expect(starts(host) == 3)

                // It may die or be stopped at any time. One connection starts it again, and no guest notices.
                let sensor = try await Sensor(host.lab, at: "ids1")
                let guest = try await host.lab.guest("web1", web1)
                try await eventually("the guest's first packets") { try sensor.numbers("burst", from: "web1") == Array(1...burstLength) }
                let flow = try await Flow.start(guest, to: "192.0.2.255")
                let pins = try await host.pins(of: guest)
                for (round, signal) in ["KILL", "TERM"].enumerated() {
                    let ended = try await processes(host)
                    try await host.lab.succeed("kill", "-s", signal, ended[0])
                    try await eventually("virtqemud runs again", within: .seconds(60)) {
                        let running = try await processes(host)
                        return !running.isEmpty && running != ended
                    }
                    try await eventually("the daemon noticed") { losses(host) > lost + round }
                    try await connected(host)
                    try await flow.moves(at: sensor)
                }
                #expect(starts(host) == 5)
                #expect(losses(host) == lost + 2)
                #expect(try await guest.state == "running")
                #expect(try await host.pins(of: guest) == pins)
                // The guest keeps virtqemud when there is no client.
                try await host.stopDaemon()
                try await Task.sleep(for: .seconds(idle + 2))
                #expect(try await processes(host).count == 1)
                #expect(starts(host) == 5)
                try await host.startDaemon()
                try await host.wait(for: "web1", "is known with its domain") { $0.state == .active && $0.running == true }
                try await flow.moves(at: sensor)
                let numbers = try flow.numbers(in: sensor)
                #expect(numbers == Array(1...numbers.count))
                #expect(try await sensor.stop() == 0)
            }
        }

        /// What a live migration needs of two libvirts is their own business; the tap goes along.
        @Test func aTapMovesFromLibvirt9ToVirtqemud11() async throws {
            try await TappedHost.with { old async throws in
                try await withHost(.virtqemud) { new async throws in
                    try await old.lab.link("to-new", to: new.lab, "to-old")
                    try await old.lab.succeed("ip", "address", "add", "203.0.113.1/30", "dev", "to-new")
                    try await new.lab.succeed("ip", "address", "add", "203.0.113.2/30", "dev", "to-old")
                    let sensor = try await Sensor(new.lab, at: "ids1")
                    let guest = try await old.lab.guest("web1", web1)
                    try await old.wait(for: "web1")
                    let flow = try await Flow.start(guest, to: "192.0.2.255")
                    let moved = try await guest.migrate(to: new.lab, address: "203.0.113.2")
                    try await new.wait(for: "web1")
                    try await flow.moves(at: sensor)
                    let numbers = try flow.numbers(in: sensor)
                    #expect(try numbers == Array(#require(numbers.first)...#require(numbers.last)))
                    try await eventually("nothing is left where it came from") { try old.pins().isEmpty }
                    #expect(try await moved.state == "running")
                    #expect(try await sensor.stop() == 0)
                }
            }
        }

        /// This program's own tests of libvirt's events, over again with the newer library.
        @Test func theNewerLibraryBringsTheSameEvents() async throws {
            try await LabHost.with(["--without-libvirtd", "--libvirt", "11.3"]) { host async throws in
                let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
                let result = try await host.run(
                    [tests, "--testing-library", "swift-testing", "--filter", "HypervisorTests.TestDriverTests"], timeout: .seconds(60))
                let words = result.text + result.errorText
                #expect(result.status == 0 && words.contains("Suite TestDriverTests passed"), "\(words)")
            }
        }

        // MARK: - The parts

        private func usesTheLibrary(of kind: Kind, _ host: TappedHost) async throws {
            let process = try await host.lab.succeed("pidof", "virt-tapd")
            let library = try await host.lab.succeed("grep", "-m1", "-o", "/.*/libvirt\\.so.*", "/proc/\(process)/maps")
            #expect(library.hasPrefix(kind == .libvirtd ? "/run/vt-lab/usr/lib/" : "/usr/lib/"), "\(library)")
        }

        private func saysWhatRuns(_ kind: Kind, _ host: TappedHost) async throws {
            let doctor = try await host.virtTap("doctor")
            #expect(doctor.text.contains("11.3.0 by \(kind.rawValue) at qemu:///system"), "\(doctor.text)")
            #expect(doctor.text.contains("installed, last called"), "\(doctor.text)")
        }

        /// By virt-tap, by virsh, by hot-plug, and by the guest itself.
        private func followsChanges(of guest: Guest, _ host: TappedHost) async throws {
            let set = try await host.virtTap("set", "web1", "--to", "span", "--name", "more", "--live")
            #expect(set.status == 0, "\(set.errorText)")
            try await host.wait(for: "web1", tap: "more")
            try await guest.plug(plugged)
            try await host.wait(for: "web1", tap: "more", "has two interfaces") { $0.interfaces.count == 2 && $0.state == .active }
            try await guest.unplug(plugged)
            try await host.wait(for: "web1", tap: "more", "has one interface") { $0.interfaces.count == 1 && $0.state == .active }
            try await guest.setMetadata("<tap to='ids'><interface mac='\(mac)'/></tap>")
            try await host.waitForEnd(of: "web1", tap: "more")
            try await host.wait(for: "web1")

            // A guest that is trusted with it may change its address; libvirt keeps the one that it was given beside it.
            try await guest.succeed("ip link set eth0 down; ip link set eth0 address 52:54:00:66:66:66; ip link set eth0 up")
            try await eventually("libvirt knows the guest's new address") {
                try await host.lab.virsh("dumpxml", "web1").contains("currentAddress='52:54:00:66:66:66'")
            }
            #expect(try await host.lab.virsh("dumpxml", "web1").contains(mac))
            try await host.reload()
            let tap = try await host.wait(for: "web1")
            #expect(tap.interfaces.first?.mac?.description == mac)
        }

        /// No packet is missing and no guest ends, whether libvirt's daemon is restarted or killed.
        private func outlivesLibvirt(_ flow: Flow, at sensor: Sensor, _ host: TappedHost) async throws {
            let seen = try await host.status().hook.seen
            try await host.lab.libvirtd("restart")
            try await connected(host)
            // The hook was called with "reconnect", and its answer left the guest running.
            try await eventually("the hook was seen again") { try await host.status().hook.seen != seen }
            try await flow.moves(at: sensor)
            try await host.lab.libvirtd("kill")
            try await eventually("the daemon noticed") { try await host.status().daemon.connected == false }
            try await flow.moves(at: sensor)
            try await host.lab.libvirtd("start")
            try await connected(host)
            #expect(try await flow.guest.state == "running")
        }

        private func isSavedAndRestored(_ guest: Guest, at sensor: Sensor, _ host: TappedHost) async throws {
            let device = try await host.wait(for: "web1").interfaces.first?.device
            try await host.lab.virsh("save", "web1", "/run/web1.save")
            try await host.waitForEnd(of: "web1")
            try await host.lab.virsh("restore", "/run/web1.save")
            let tap = try #require(try await host.tap(of: "web1"))
            #expect(tap.state == .active)
            #expect(tap.interfaces.first?.device != device)
            try await Flow.send(50, from: guest, to: "192.0.2.255").isComplete(at: sensor, 50)
        }

        private func connected(_ host: TappedHost) async throws {
            try await eventually("the daemon is connected to libvirt", within: .seconds(30)) {
                try await host.status().daemon.connected == true
            }
        }

        /// How often libvirt's daemon has started, by its log.
        private func starts(_ host: TappedHost) -> Int {
            host.lab.log("libvirtd").components(separatedBy: "libvirt version: 11.3.0").count - 1
        }

        /// How often virt-tapd has lost a connection that stood, by its log.
        private func losses(_ host: TappedHost) -> Int {
            host.lab.log("virt-tapd").components(separatedBy: "libvirt's daemon closed the connection").count - 1
        }

        /// The process of virtqemud as the host numbers it.
        private func processes(_ host: TappedHost) async throws -> [String] {
            try await host.lab.run("pidof", "virtqemud").text.split(separator: " ").map(String.init)
        }
    }
}

private let burstLength = 100
private let mac = "52:54:00:11:33:01"
private let plugged = """
    <interface type='bridge'><mac address='52:54:00:11:33:02'/><source bridge='br0'/><model type='virtio'/></interface>
    """
private var web1: GuestOptions {
    var options = GuestOptions(
        append: "vt.ip.0=192.0.2.11/24 vt.burst=\(burstLength):192.0.2.255", metadata: "<tap xmlns='urn:virt-tap:1' to='ids'/>")
    options.interfaces = [
        """
        <interface type='bridge' trustGuestRxFilters='yes'><mac address='\(mac)'/><source bridge='br0'/><model type='virtio'/>\
        <rom enabled='no'/></interface>
        """
    ]
    return options
}
