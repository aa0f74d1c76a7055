// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd.RunningGuests {
    /// Copies that go to a sensor VM of the same host.
    @Suite struct SensorGuestTests {
        let host: TappedHost = .current
        var web1: Guest { host.web1 }
        static let mac = "52:54:00:77:77:77"
        static let configuration = TappedHost.configuration.replacingOccurrences(
            of: "</virt-tap>", with: "<destination name='vm'><domain name='sensor' mac='\(mac)'/></destination></virt-tap>")

        init() async throws { try await host.withoutTaps() }

        private func options(_ interface: String) -> GuestOptions {
            var options = GuestOptions(start: false)
            options.interfaces = [interface]
            options.tcpdump = true
            return options
        }

        private func sends(_ count: Int, port: Int) async throws -> Flow {
            try await Flow.send(count, from: web1, to: EndToEnd.RunningGuests.address2, port: port)
        }

        private func remove(_ sensor: Guest) async throws {
            try await sensor.destroy()
            try await host.lab.virsh("undefine", "--domain", sensor.name)
        }

        /// A sensor that is tapped to itself would be sent its own copies.
        private func commandsKnowIt() async throws {
            let refused = try await host.virtTap("set", "sensor", "--to", "vm")
            #expect(refused.status == 1 && refused.errorText.contains("(destination-loop)"), "\(refused.errorText)")
            let path = "\(host.lab.folder)/tapped.xml"
            try await host.lab.succeed("sh", "-c", "virsh dumpxml web1 >\(path)")
            let good = try await host.virtTap("check", path)
            #expect(good.status == 0 && good.text.contains("would be copied to vm") && !good.text.contains("libvirt"), "\(good.text)")
            try await host.lab.succeed("rm", path)
        }

        @Test func itIsFollowedWithoutTouchingTheTaps() async throws {
            try await host.reload(Self.configuration)
            // Written, and not working: as `status --check` has it.
            let set = try await host.virtTap("set", "web1", "--to", "vm")
            #expect(set.status == 2 && set.errorText.contains("`virt-tap unset web1 vm` removes it"), "\(set.errorText)")
            try await host.wait(for: "web1", tap: "vm", .failed, .destinationElsewhere)
            let pins = try await host.pins(of: web1)
            #expect(!pins.isEmpty)
            try await host.lab.succeed("ip", "link", "add", "br7", "up", "type", "bridge", "mcast_snooping", "0")
            let sensor = try await host.lab.guest(
                "sensor",
                options(
                    "<interface type='bridge'><mac address='\(Self.mac)'/><source bridge='br7'/><model type='virtio'/>"
                        + "<rom enabled='no'/></interface>"))
            try await host.wait(for: "web1", tap: "vm", .failed, .destinationDown)

            for run in 1...2 {
                try await sensor.start()
                try await host.wait(for: "web1", tap: "vm")
                if run == 1 { try await commandsKnowIt() }
                try await sensor.ready()
                let original = try await Sensor(host.lab, at: "tap-web1")
                let seen = try await GuestSensor(sensor)
                let flow = try await sends(200, port: 40_100 + run)
                try await eventually("all of it is in the sensor VM") { try await seen.count(of: flow) == 200 }
                #expect(try await seen.digest(of: flow) == GuestSensor.digest(of: flow, in: original))
                #expect(try await original.stop() == 0)
                try await seen.stop()
                let test = try await host.virtTap("test", "web1")
                #expect(
                    test.status == 0 && test.text.contains("went into the sensor VM by ") && test.text.contains("promisc"), "\(test.text)")
                let destination = try #require(try await host.status().destinations.first { $0.name == "vm" })
                #expect(destination.kind == .domain && destination.state == .active)
                #expect(destination.device == (try await sensor.devices.first))

                try await sensor.destroy()
                try await host.wait(for: "web1", tap: "vm", .failed, .destinationDown)
                // The tapped guest does not care.
                let witness = try await Sensor(host.lab, at: "tap-web1")
                try await sends(20, port: 40_100).isComplete(at: witness, 20)
                #expect(try await witness.stop() == 0)
            }
            #expect(try await host.pins(of: web1) == pins)
            try await host.lab.virsh("undefine", "--domain", sensor.name)
            try await host.wait(for: "web1", tap: "vm", .failed, .destinationElsewhere)
            try await host.virtTapSucceeds("unset", "web1", "vm")
            try await host.waitForEnd(of: "web1", tap: "vm")
            try await host.lab.succeed("ip", "link", "delete", "br7")
            try await host.reload()
        }

        /// Which of its interfaces takes the copies is no question where there is one; where there are two it is.
        @Test func itsOnlyInterfaceNeedsNoName() async throws {
            try await host.reload(
                TappedHost.configuration.replacingOccurrences(
                    of: "</virt-tap>", with: "<destination name='vm'><domain name='sensor'/></destination></virt-tap>"))
            try await host.lab.succeed("ip", "link", "add", "br7", "up", "type", "bridge", "mcast_snooping", "0")
            func interface(_ mac: String) -> String {
                "<interface type='bridge'><mac address='\(mac)'/><source bridge='br7'/><model type='virtio'/><rom enabled='no'/></interface>"
            }
            let sensor = try await host.lab.guest("sensor", options(interface(Self.mac)))
            try await sensor.start()
            try await sensor.ready()
            try await host.virtTapSucceeds("set", "web1", "--to", "vm")
            let check = try await host.virtTap("check", TappedHost.configurationPath)
            #expect(check.status == 0 && !check.text.contains("destination vm"), "\(check.text)")
            let seen = try await GuestSensor(sensor)
            let flow = try await sends(200, port: 40_120)
            try await eventually("all of it is in the sensor VM") { try await seen.count(of: flow) == 200 }
            try await seen.stop()
            try await sensor.plug(interface("52:54:00:77:77:78"))
            let tap = try await host.wait(for: "web1", tap: "vm", .failed, .noMatchingInterface)
            #expect(
                tap.message?.contains(
                    "net0 \(Self.mac), net1 52:54:00:77:77:78, and the <domain> does not say which takes the copies; add mac=") == true,
                "\(tap.message ?? "")")
            let asked = try await host.virtTap("check", TappedHost.configurationPath)
            #expect(asked.status == 0 && asked.text.contains("does not say which takes the copies"), "\(asked.text)")
            try await remove(sensor)
            try await host.virtTapSucceeds("unset", "web1", "vm")
            try await host.waitForEnd(of: "web1", tap: "vm")
            try await host.lab.succeed("ip", "link", "delete", "br7")
            try await host.reload()
        }

        @Test func itsInterfaceMayBeAMacvtapAndComeLater() async throws {
            try await host.reload(Self.configuration)
            try await host.lab.succeed("ip", "link", "add", "wire7", "up", "type", "veth", "peer", "name", "wire8")
            try await host.lab.succeed("ip", "link", "set", "wire8", "up")
            let interface =
                "<interface type='direct'><mac address='\(Self.mac)'/><source dev='wire7' mode='bridge'/><model type='virtio'/></interface>"
            var options = options(interface)
            options.interfaces = []
            options.nics = ["bridge=br0"]
            let sensor = try await host.lab.guest("sensor", options)
            try await sensor.start()
            try await sensor.ready()
            #expect(try await host.virtTap("set", "web1", "--to", "vm").status == 2)
            let tap = try await host.wait(for: "web1", tap: "vm", .failed, .noMatchingInterface)
            #expect(tap.message?.contains("mac=\"\(Self.mac)\" is not among them") == true)
            try await sensor.plug(interface)
            try await host.wait(for: "web1", tap: "vm")
            try await eventually("the guest has configured it") { try await sensor.run("ip link show eth1 | grep -q UP").status == 0 }
            try await sensor.succeed(
                "ip link set eth0 down; ip link set eth0 name other; ip link set eth1 down; ip link set eth1 name eth0 up")
            let wire = try await Sensor(host.lab, at: "wire8")
            let original = try await Sensor(host.lab, at: "tap-web1")
            let seen = try await GuestSensor(sensor)
            let flow = try await sends(200, port: 40_110)
            try await eventually("all of it is in the sensor VM") { try await seen.count(of: flow) == 200 }
            #expect(try await seen.digest(of: flow) == GuestSensor.digest(of: flow, in: original))
            // What is sent by a macvtap leaves the host: copies must not.
            #expect(try flow.frames(in: wire).isEmpty)
            for capture in [wire, original] { #expect(try await capture.stop() == 0) }
            try await seen.stop()
            try await remove(sensor)
            try await host.virtTapSucceeds("unset", "web1", "vm")
            try await host.waitForEnd(of: "web1", tap: "vm")
            try await host.lab.succeed("ip", "link", "delete", "wire7")
            try await host.reload()
        }
    }
}
