// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TestSupport
import Testing

/// What every other test here builds on: the guests are real, reach each other, and have numbers in their packets.
extension EndToEnd {
    @Suite struct GuestTests {
        private static let extra = """
            <interface type='bridge'><mac address='52:54:00:aa:bb:01'/><source bridge='br0'/><model type='virtio'/></interface>
            """

        @Test func twoGuestsPingEachOther() async throws {
            try await LabHost.with { host async throws in
                async let starting = host.guest("one", GuestOptions(ip: "192.0.2.11/24"))
                let two = try await host.guest("two", GuestOptions(ip: "192.0.2.12/24"))
                let one = try await starting
                let reply = try await one.succeed("ping -c 3 -W 2 192.0.2.12")
                #expect(reply.contains("3 packets received"))
                #expect(try await Set(one.devices + two.devices) == ["vnet0", "vnet1"])
            }
        }

        @Test func theFirstPacketsAreNumberedAndAllThere() async throws {
            try await LabHost.with { host async throws in
                // The bridge's own port is a sensor of what the guest sends: broadcasts come up there.
                let sensor = try await Sensor(host, at: "br0")
                let guest = try await host.guest("early", GuestOptions(ip: "192.0.2.11/24", append: "vt.burst=150:192.0.2.255"))
                try await eventually("150 numbers") { try sensor.numbers("burst", from: "early").count >= 150 }
                #expect(try sensor.numbers("burst", from: "early") == Array(1...150))
                #expect(try await sensor.stop() == 0)
                try await guest.destroy()
            }
        }

        @Test func anInterfaceIsPluggedInAndOut() async throws {
            try await LabHost.with { host async throws in
                let guest = try await host.guest("plug", GuestOptions(ip: "192.0.2.11/24", append: "vt.ip.1=198.51.100.5/24"))
                try await guest.plug(Self.extra)
                try await eventually("the guest configured its new interface") {
                    try await guest.succeed("ip address show").contains("198.51.100.5/24")
                }
                #expect(try await guest.succeed("cat /sys/class/net/eth1/address") == "52:54:00:aa:bb:01")
                #expect(try await guest.devices.count == 2)
                try await guest.unplug(Self.extra)
                #expect(try await guest.devices.count == 1)
                #expect(try await guest.run("test -e /sys/class/net/eth1").status == 1)
            }
        }

        @Test func aRebootFromInsideKeepsTheDevice() async throws {
            try await LabHost.with { host async throws in
                let guest = try await host.guest("again", GuestOptions(ip: "192.0.2.11/24"))
                let devices = try await guest.devices
                try await guest.succeed("touch /tmp/before")
                try await guest.reboot()
                #expect(try await guest.run("test -e /tmp/before").status == 1)
                #expect(try await guest.devices == devices)
                try await guest.powerOff()
                #expect(try await guest.state == "shut off")
            }
        }

        @Test(arguments: ["--help", "$(id)", "a b;c'd\"e<&>", "ünï\u{202e}"])
        func aGuestMayHaveAnyName(_ name: String) async throws {
            try await LabHost.with { host async throws in
                var options = GuestOptions()
                options.start = false
                let guest = try await host.guest(name, options)
                #expect(try await guest.state == "shut off")
                #expect(try await host.virsh("list", "--all", "--name").contains(name))
            }
        }

        @Test func libvirtdComesAndGoesAndTheGuestStays() async throws {
            try await LabHost.with { host async throws in
                let guest = try await host.guest("stays", GuestOptions(ip: "192.0.2.11/24"))
                try await host.libvirtd("kill")
                #expect(try await host.run("virsh", "list").status != 0)
                #expect(try await host.run("busybox", "ping", "-c", "1", "-W", "2", "192.0.2.11").status == 0)
                try await host.libvirtd("start")
                #expect(try await guest.state == "running")
            }
        }
    }
}
