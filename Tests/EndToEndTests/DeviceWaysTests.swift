// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd.RunningGuests {
    /// How others make guests' devices and change them later, by the commands and calls that they use. docs/explanation/libvirt.md tells
    /// the same.
    @Suite struct DeviceWaysTests {
        let host: TappedHost = .current

        init() async throws { try await host.withoutTaps() }

        private struct Way {
            let name: String
            /// The interface, behind its MAC address.
            let xml: String
            /// Before the guest starts.
            var before = ""
            /// While it runs: in the host, and in the guest with its device as `$eth`.
            var later = ""
            var laterInGuest: String?
            /// What `status` says of it then; none: nothing.
            var remarks: [String] = []
            /// libvirtd mends it when it starts.
            var isMended = false
            /// What the device is called in the end; nil: as it was.
            var nameAfter: String?
        }

        /// The guest's eth0, eth1, …; the burst that is sent as early as possible goes through the first.
        private static let ways = [
            Way(
                name: "OpenStack with OVN: a persistent tap with the guest's own address",
                xml: "<target dev='tapovn' managed='no'/>",
                before: "ip tuntap add tapovn mode tap; ip link set tapovn address \(mac(0)) up",
                // As os-vif does at each plug.
                later: "ip link set tapovn address \(mac(0)) up"),
            Way(
                name: "OpenStack with linuxbridge: the agent finds the tap and puts it into a bridge after the guest runs",
                xml: "<target dev='taplb' managed='no'/>",
                before: "ip tuntap add taplb mode tap; ip link set taplb up; ip link add brqlb up type bridge",
                later: "ip link set taplb master brqlb mtu 1450"),
            Way(
                name: "OpenStack with OVS hybrid: libvirt's tap in a bridge of its own, a veth pair from there",
                xml: "<source bridge='qbrhy'/><target dev='taphy'/>",
                before: "ip link add qbrhy up type bridge; ip link add qvbhy up type veth peer name qvohy; ip link set qvohy up; "
                    + "ip link set qvbhy master qbrhy"),
            Way(
                name: "Calico: a routed tap, all with one address, no bridge, proxy ARP", xml: "<target dev='cali1' managed='no'/>",
                before: calico("cali1"), later: "ip route replace 203.0.113.1/32 dev cali1; ip link set cali1 address 00:61:fe:ed:ca:fe"),
            Way(
                name: "Calico, a second one", xml: "<target dev='cali2' managed='no'/>", before: calico("cali2"),
                later: "ip link set cali2 down; ip link set cali2 up arp off"),
            Way(
                name: "Proxmox-like: a script that libvirt runs makes a firewall bridge with a veth pair in between",
                xml: "<target dev='tap100i0'/><script path='/run/ways/pve-up'/>", before: "ip link add vmbr9 up type bridge",
                later: "ip link set tap100i0 nomaster; ip link set tap100i0 master vmbr9",
                remarks: ["tap100i0: it is a port of vmbr9 now and was one of fwbr100i0"]),
            Way(
                name: "oVirt: vdsm moves it to another bridge by way of libvirt", xml: "<source bridge='ovirtmgmt'/>",
                before: "ip link add ovirtmgmt up type bridge; ip link add tenant up type bridge",
                later: "sed 's/ovirtmgmt/tenant/' <<'X' | virsh -q update-device ways /dev/stdin --live\n<interface type='bridge'>"
                    + "<mac address='\(mac(6))'/><source bridge='ovirtmgmt'/><model type='virtio'/><rom enabled='no'/></interface>\nX"),
            Way(
                name: "udev and systemd's .link files: MACAddressPolicy=persistent, a name, an altname",
                xml: "<source bridge='brudev'/><target dev='wayslan'/>", before: "ip link add brudev up type bridge",
                later: "ip link set wayslan address 5e:11:22:33:44:55; ip link set wayslan name enxlan; "
                    + "ip link property add dev enxlan altname wayslan-of-the-guest",
                remarks: ["wayslan: it is called enxlan now; its address is 5e:11:22:33:44:55 now and was fe:54:00:aa:ee:07"],
                nameAfter: "enxlan"),
            Way(
                name: "an agent that takes it out of its bridge and sets it down for a moment", xml: "<source bridge='bragent'/>",
                before: "ip link add bragent up type bridge",
                later: "device=$(virsh -q domiflist ways | awk '$5 == \"\(mac(8))\" { print $1 }'); "
                    + "ip link set $device down; ip link set $device nomaster; ip link set $device up",
                remarks: ["it is no port of bragent any more"], isMended: true),
            Way(
                name: "a trusted guest on a macvtap changes its address", xml: "<source dev='way-m' mode='bridge'/>",
                before: "ip link add way-m up type veth peer name way-m1; ip link set way-m1 up",
                laterInGuest: "ip link set $eth address 02:11:22:33:44:99",
                remarks: ["its address is 02:11:22:33:44:99 now and was 52:54:00:aa:ee:09"]),
        ]

        private static let types = [
            "tapovn": "ethernet", "taplb": "ethernet", "cali": "ethernet", "tap100i0": "ethernet", "way-m": "direct",
        ]

        private static func mac(_ number: Int) -> String { "52:54:00:aa:ee:0\(number)" }

        private static func calico(_ device: String) -> String {
            "ip tuntap add \(device) mode tap; ip link set \(device) address 00:61:fe:ed:ca:fe up; "
                + "echo 1 >/proc/sys/net/ipv4/conf/\(device)/proxy_arp"
        }

        private static func address(_ interface: Int, _ number: Int) -> String { "198.51.100.\(16 * interface + number)" }

        private var options: GuestOptions {
            let numbers = Self.ways.indices
            let addresses = numbers.map { "vt.ip.\($0)=\(Self.address($0, 1))/28" }.joined(separator: " ")
            var options = GuestOptions(
                append: "vt.burst=50:\(Self.address(0, 15)) \(addresses)",
                metadata: """
                    <v:taps xmlns:v='urn:virt-tap:1' xmlns='urn:virt-tap:1'>
                    <tap to='ids' required='yes'/><tap name='fixed' to='span'><interface device='wayslan'/></tap></v:taps>
                    """)
            options.interfaces = numbers.map { number in
                let type = Self.types.first { Self.ways[number].xml.contains("'\($0.key)") }?.value ?? "bridge"
                let trust = type == "direct" ? " trustGuestRxFilters='yes'" : ""
                return
                    "<interface type='\(type)'\(trust)><mac address='\(Self.mac(number))'/>\(Self.ways[number].xml)<model type='virtio'/>"
                    + "<rom enabled='no'/></interface>"
            }
            return options
        }

        private func shell(_ script: String) async throws {
            if !script.isEmpty { try await host.lab.succeed("sh", "-ec", script) }
        }

        @Test func copyingGoesOnWhoeverMakesAndChangesTheDevice() async throws {
            try host.lab.write(
                """
                #!/bin/sh -e
                ip link add fwbr100i0 up type bridge
                ip link add fwln100i0 up type veth peer name fwpr100p0
                ip link set fwln100i0 master fwbr100i0
                ip link set fwpr100p0 up master vmbr9
                ip link set "$1" up master fwbr100i0

                """, to: "/run/ways/pve-up", mode: 0o755)
            for way in Self.ways { try await shell(way.before) }
            // Its macvtap takes copies, too.
            try await host.reload(
                TappedHost.configuration.replacingOccurrences(
                    of: "<resync", with: "<destination name='vm'><domain name='ways' mac='\(Self.mac(9))'/></destination><resync"))
            let sensor = try await Sensor(host.lab, at: "ids1")
            // A required tap, so that it would not start were one of those that others made not its own.
            let guest = try await host.lab.guest("ways", options)
            let first = try await host.wait(for: "ways")
            #expect(first.interfaces.count == Self.ways.count)
            #expect(first.warnings.filter { $0.reason == .deviceChanged }.isEmpty, "\(first.warnings)")
            #expect(try sensor.numbers("burst", from: "ways") == Array(1...50), "the first packet of a pre-made tap")
            try await everyInterfaceIsCopied(guest, sensor, "before")
            try await host.web1.setMetadata("<tap to='vm'/>")
            try await host.wait(for: "web1", tap: "vm")

            for way in Self.ways { try await shell(way.later) }
            for number in Self.ways.indices {
                if let change = Self.ways[number].laterInGuest { try await guest.succeed("eth=eth\(number); \(change)") }
            }
            try await itIsAsBefore(first)
            try await everyInterfaceIsCopied(guest, sensor, "after")
            try await theSensorStays()

            try await host.stopDaemon()
            let down = try await host.virtTap("status", "ways")
            #expect(down.text.contains("enxlan"), "\(down.text)")
            try await everyInterfaceIsCopied(guest, sensor, "down")
            try await host.startDaemon()
            try await itIsAsBefore(first)
            try await host.lab.libvirtd("restart")
            try await eventually("the daemon is connected again") { try await host.status().daemon.connected == true }
            try await itIsAsBefore(first, isMended: true)
            try await everyInterfaceIsCopied(guest, sensor, "restarted")
            try await theSensorStays()
            // By hand, as people read it.
            let table = try await host.virtTapSucceeds("status", "ways")
            #expect(table.text.contains("it is called enxlan now") && table.text.contains("(device-changed)"), "\(table.text)")
            #expect(try await host.virtTap("status", "--check", "ways").status == 0)

            try await host.web1.removeMetadata()
            try await host.waitForEnd(of: "web1", tap: "vm")
            try await guest.destroy()
            try await host.waitForEnd(of: "ways")
            try await eventually("nothing of it is left in the kernel") { try await host.pins(of: guest).isEmpty }
            #expect(try await sensor.stop() == 0)
            try await host.lab.virsh("undefine", "ways")
            for device in ["tapovn", "taplb", "cali1", "cali2", "qvbhy", "fwln100i0", "way-m"] + ["brqlb", "qbrhy", "vmbr9", "fwbr100i0"]
                + ["ovirtmgmt", "tenant", "brudev", "bragent"]
            {
                try await host.lab.succeed("ip", "link", "delete", device)
            }
            try await host.reload()
        }

        /// The same attachments, tapped all the while, and remarks on those that were changed and no others.
        ///
        /// - Parameter isMended: whether libvirtd has started since, which puts taps back into the bridges of its XML.
        private func itIsAsBefore(_ first: TapStatus, isMended: Bool = false) async throws {
            let remarks = Self.ways.filter { !(isMended && $0.isMended) }.flatMap(\.remarks)
            let tap = try await host.wait(for: "ways", "active, with \(remarks)") { tap in
                let messages = tap.warnings.filter { $0.reason == .deviceChanged }.map(\.message)
                return tap.state == .active && messages.count == remarks.count
                    && remarks.allSatisfy { remark in messages.contains { $0.contains(remark) } }
            }
            #expect(tap.interfaces.map(\.ifindex) == first.interfaces.map(\.ifindex))
            #expect(tap.interfaces.map(\.since) == first.interfaces.map(\.since))
            for (interface, (former, way)) in zip(tap.interfaces, zip(first.interfaces, Self.ways)) {
                #expect(interface.device == way.nameAfter ?? former.device, "\(way.name)")
            }
            // Chosen by what libvirt calls it, whatever it is called now.
            let fixed = try await host.wait(for: "ways", tap: "fixed")
            #expect(fixed.interfaces.map(\.device) == ["enxlan"])
        }

        /// What each of the guest's interfaces sends is copied once.
        private func everyInterfaceIsCopied(_ guest: Guest, _ sensor: Sensor, _ kind: String) async throws {
            let numbers = Self.ways.indices
            let sends = numbers.map { "vt-send eth\($0) \(Self.address($0, 15)) 40002 20 1 \(kind)\($0) ways" }
            try await guest.succeed(sends.joined(separator: " && "))
            for number in numbers {
                try await eventually("what eth\(number) sends is copied: \(Self.ways[number].name)") {
                    try sensor.numbers("\(kind)\(number)", from: "ways") == Array(1...20)
                }
            }
        }

        /// web1's copies go into the macvtap whose guest changed its address.
        private func theSensorStays() async throws {
            func sent() async throws -> UInt64 {
                let destination = try #require(try await host.status().destinations.first { $0.name == "vm" })
                #expect(destination.state == .active && destination.errors.packets == 0, "\(destination)")
                return destination.sent.packets
            }
            try await host.wait(for: "web1", tap: "vm")
            let before = try await sent()
            try await host.web1.succeed("vt-send eth0 192.0.2.255 40003 20 1 sensor web1")
            try await eventually("web1's copies are sent") { try await sent() >= before + 20 }
        }
    }
}
