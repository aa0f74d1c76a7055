// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd.RunningGuests {
    /// Every type of interface that libvirt's QEMU driver knows: those with a device are tapped, the others say why not.
    @Suite struct InterfaceTypeTests {
        let host: TappedHost = .current

        init() async throws { try await host.withoutTaps() }

        /// An interface of the guest `types`, and where the host's side of its network is.
        private struct Kind {
            let type: String
            /// Behind the MAC.
            let xml: String
            /// The host's device that is in the same network.
            let peer: String
            let device: String
        }

        /// The guest's eth0, eth1, … The first is a macvtap: the burst that is sent as early as possible goes through it.
        private static let kinds = [
            Kind(type: "direct", xml: "<source dev='wire-a' mode='bridge'/>", peer: "wire-a1", device: "macvtap"),
            // A neighbour on the same wire.
            Kind(type: "direct", xml: "<source dev='wire-a' mode='bridge'/>", peer: "wire-a1", device: "macvtap"),
            Kind(type: "direct", xml: "<source dev='wire-b' mode='vepa'/>", peer: "wire-b1", device: "macvtap"),
            // By way of a network of libvirt, which then is no bridge.
            Kind(type: "network", xml: "<source network='wires'/>", peer: "wire-c1", device: "macvtap"),
            Kind(type: "direct", xml: "<source dev='wire-d' mode='passthrough'/>", peer: "wire-d1", device: "macvtap"),
            Kind(type: "network", xml: "<source network='lan'/>", peer: "br0", device: "vnet"),
            Kind(type: "ethernet", xml: "<target dev='own0'/>", peer: "own0", device: "own0"),
            Kind(type: "ethernet", xml: "<target dev='made0' managed='no'/>", peer: "made0", device: "made0"),
            Kind(type: "ethernet", xml: "<target dev='made1' managed='no'/>", peer: "wire-e1", device: "made1"),
        ]

        private static func mac(_ number: Int) -> String { "52:54:00:aa:dd:\(number < 10 ? "0" : "")\(number)" }

        @Test func everyInterfaceWithADeviceIsTappedTheRightWayRound() async throws {
            try await makeNetworks()
            let sent = try await Sensor(host.lab, at: "ids1")
            let received = try await Sensor(host.lab, at: "span1")
            let guest = try await host.lab.guest("types", options)

            // Whatever address the device has that somebody made for it, as OpenStack's and Calico's drivers do.
            let whole = try await host.wait(for: "types", tap: "sent")
            try await host.wait(for: "types", tap: "received")
            // As udev and agents do, after libvirt and before: copying goes on.
            let since = whole.interfaces.map(\.since)
            for (device, address) in [("made0", "02:11:22:33:44:55"), (whole.interfaces[5].device ?? "", "02:11:22:33:44:66")] {
                try await host.lab.succeed("ip", "link", "set", device, "address", address)
            }
            #expect(try await host.wait(for: "types", tap: "sent").interfaces.map(\.since) == since)
            #expect(whole.interfaces.count == Self.kinds.count)
            for (interface, kind) in zip(whole.interfaces, Self.kinds) {
                #expect(interface.device?.hasPrefix(kind.device) == true, "\(interface)")
            }
            let lan = try #require(try await host.tap("lan", of: "types"))
            #expect(lan.interfaces.map(\.alias) == ["net5"])
            let bridged = try #require(try await host.tap("bridged", of: "types"))
            #expect(bridged.interfaces.map(\.alias) == ["net5"])

            // A macvtap, too, is tapped before the guest runs.
            #expect(try sent.numbers("burst", from: "types") == Array(1...50))
            try await directionsAreRight(guest, sent, received)

            // Meanwhile libvirt sets macvtaps down.
            let pins = try await host.pins(of: guest)
            try await host.lab.virsh("suspend", "types")
            try await host.lab.virsh("resume", "types")
            try await Flow.send(20, from: guest, to: "198.51.100.15").isComplete(at: sent, 20)
            #expect(try await host.pins(of: guest) == pins)

            // What the user made stays when the guest is gone, and the taps do not.
            try await guest.destroy()
            try await host.waitForEnd(of: "types", tap: "sent")
            try await eventually("nothing of it is left in the kernel") { try await host.pins(of: guest).isEmpty }
            for device in ["made0", "made1"] { try await host.lab.succeed("ip", "link", "delete", device) }
            for sensor in [sent, received] { #expect(try await sensor.stop() == 0) }
            try await host.lab.virsh("undefine", "types")
            try await removeNetworks()
        }

        /// A guest that runs, with what this QEMU starts without any other program.
        @Test func anInterfaceWithoutADeviceSaysWhyAndWhatToDo() async throws {
            // For the multicast group's socket.
            try await host.lab.succeed("ip", "route", "add", "230.0.0.0/8", "dev", "lo")
            var options = GuestOptions(metadata: "<tap xmlns='urn:virt-tap:1' to='ids'/>")
            options.interfaces = [
                "user": "",
                "udp": "<source address='127.0.0.1' port='5001'><local address='127.0.0.1' port='5002'/></source>",
                "mcast": "<source address='230.0.0.1' port='5003'/>",
                "server": "<source address='127.0.0.1' port='5004'/>",
            ].map { "<interface type='\($0)'>\($1)<model type='virtio'/></interface>" }
            options.interfaces.append(
                "<interface type='client'><source address='127.0.0.1' port='5004'/><model type='virtio'/></interface>")
            options.transient = true
            options.ready = false
            let guest = try await host.lab.guest("alone", options)
            let tap = try await host.wait(for: "alone", .unsupported, .interfaceTypeUnsupported)
            #expect(Set(tap.interfaces.map(\.type)) == [.user, .udp, .mcast, .server, .client])
            for interface in tap.interfaces {
                #expect(interface.state == .unsupported && interface.reason == .interfaceTypeUnsupported)
                let message = try #require(interface.message)
                #expect(message.hasPrefix("interface type \(interface.type?.text ?? "") cannot be tapped: QEMU"), "\(message)")
                #expect(message.hasSuffix("use type network or bridge"), "\(message)")
            }
            #expect(try await host.pins(of: guest).isEmpty)
            let table = try await host.virtTap("status", "--check", "alone")
            #expect(table.status == 2)
            #expect(table.text.contains("interface-type-unsupported") && table.text.contains("use type network or bridge"))
            try await guest.destroy()
            try await host.lab.succeed("ip", "route", "delete", "230.0.0.0/8", "dev", "lo")
            try await eventually("the guest is forgotten") { try await host.taps(of: "alone").isEmpty }
        }

        /// As before, for what needs hardware or a switch that is not here; libvirt 9.0 dies of `null`.
        @Test(arguments: [
            (
                "<interface type='hostdev' managed='yes'><source><address type='pci' domain='0' bus='3' slot='0' function='1'/></source>",
                "mirror port"
            ),
            (
                "<interface type='vhostuser'><source type='unix' path='/run/vhost' mode='client'/><target dev='eth0'/>",
                "switch's own mirror"
            ),
            (
                "<interface type='vhostuser'><source dev='eno1'/><backend type='passt' logFile='/run/passt.log'/>",
                "passt turns its frames into connections of the host, which has no device for it; use type network or bridge"
            ),
            ("<interface type='vdpa'><source dev='/dev/vhost-vdpa-0'/>", "mirror port"),
            ("<interface type='user'><backend type='passt'/>", "use type network or bridge"),
            ("<interface type='null'>", "connected to nothing"),
            ("<interface type='vds'><source switchid='1' portid='1' portgroupid='1' connectionid='1'/>", "use type network or bridge"),
        ])
        func checkSaysItBeforeTheGuestIsThere(_ interface: String, _ advice: String) async throws {
            let xml = """
                <domain type='kvm'><name>far</name><uuid>\(UUID().uuidString)</uuid>
                <metadata><tap xmlns='urn:virt-tap:1' to='ids'/></metadata>
                <devices>\(interface)<mac address='\(Self.mac(1))'/></interface></devices></domain>
                """
            let result = try await host.lab.run([TappedHost.program("virt-tap"), "check", "-"], input: Data(xml.utf8))
            #expect(result.status == 1)
            #expect(result.text.contains(advice) && result.text.contains("(interface-type-unsupported)"), "\(result.text)")
        }

        // MARK: - The guest and its networks

        private var options: GuestOptions {
            let numbers = Self.kinds.indices
            let addresses = numbers.map { "vt.ip.\($0)=\(Self.address($0, 1))/28" }.joined(separator: " ")
            var options = GuestOptions(
                append: "vt.burst=50:\(Self.address(0, 15)) \(addresses)",
                metadata: """
                    <v:taps xmlns:v='urn:virt-tap:1' xmlns='urn:virt-tap:1'>
                    <tap name='sent' to='ids' direction='outbound'/><tap name='received' to='span' direction='inbound'/>
                    <tap name='lan' to='late'><interface network='lan'/></tap><tap name='bridged' to='late'><interface bridge='br0'/></tap>
                    </v:taps>
                    """)
            options.interfaces = numbers.map {
                "<interface type='\(Self.kinds[$0].type)'><mac address='\(Self.mac($0))'/>\(Self.kinds[$0].xml)<model type='virtio'/><rom enabled='no'/></interface>"
            }
            return options
        }

        /// A network of 14 hosts for each interface: 1 is the guest, 2 the host, 15 everybody.
        private static func address(_ interface: Int, _ number: Int) -> String { "198.51.100.\(16 * interface + number)" }

        private func makeNetworks() async throws {
            for wire in ["a", "b", "c", "d", "e"] {
                try await host.lab.succeed("ip", "link", "add", "wire-\(wire)", "up", "type", "veth", "peer", "name", "wire-\(wire)1")
                try await host.lab.succeed("ip", "link", "set", "wire-\(wire)1", "up")
            }
            try await host.lab.succeed("ip", "tuntap", "add", "dev", "made0", "mode", "tap")
            try await host.lab.succeed("ip", "link", "set", "made0", "up")
            try await host.lab.succeed(
                "ip", "link", "add", "link", "wire-e", "name", "made1", "address", Self.mac(8), "up", "type", "macvtap", "mode", "bridge")
            try await network("lan", "<forward mode='bridge'/><bridge name='br0'/>")
            try await network("wires", "<forward mode='private'><interface dev='wire-c'/></forward>")
        }

        private func network(_ name: String, _ xml: String) async throws {
            let input = Data("<network><name>\(name)</name>\(xml)</network>".utf8)
            let result = try await host.lab.run(["virsh", "-q", "net-create", "/dev/stdin"], input: input)
            guard result.status == 0 else { throw CommandFailure(result: result, timeout: nil) }
        }

        private func removeNetworks() async throws {
            for name in ["lan", "wires"] { try await host.lab.virsh("net-destroy", name) }
            for wire in ["a", "b", "c", "d", "e"] { try await host.lab.succeed("ip", "link", "delete", "wire-\(wire)") }
        }

        /// On each interface, what the guest sends is in `sent` only, and what it receives in `received` only.
        private func directionsAreRight(_ guest: Guest, _ sent: Sensor, _ received: Sensor) async throws {
            // Two of the interfaces are on one wire: each is to answer for itself only.
            try await guest.succeed("echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore")
            let numbers = Self.kinds.indices
            let sends = numbers.map { "vt-send eth\($0) \(Self.address($0, 15)) 40002 20 1 out\($0) types" }
            try await guest.succeed(sends.joined(separator: " && "))
            for number in numbers {
                // A neighbour gets what the other one sends to everybody.
                let neighbours = Self.kinds.count { $0.peer == Self.kinds[number].peer } - 1
                try await eventually("what eth\(number) sends is copied, and what \(neighbours) neighbour receives of it") {
                    try sent.numbers("out\(number)", from: "types") == Array(1...20)
                        && received.numbers("out\(number)", from: "types").count == 20 * neighbours
                }
            }
            let pings = numbers.map {
                "ip address add \(Self.address($0, 2))/28 dev \(Self.kinds[$0].peer) 2>/dev/null; busybox ping -c 3 -i 0.1 -W 5 \(Self.address($0, 1)) &"
            }
            try await host.lab.succeed("sh", "-c", pings.joined(separator: "\n") + "\nwait")
            for number in numbers {
                let guest = MACAddress(Self.mac(number))?.bytes ?? []
                func echoes(_ sensor: Sensor, _ type: UInt8, to range: Range<Int>) throws -> Int {
                    try sensor.frames().count { $0.isICMP && $0.bytes[34] == type && Array($0.bytes[range]) == guest }
                }
                try await eventually("the host's pings and eth\(number)'s answers are copied") {
                    try echoes(received, 8, to: 0..<6) == 3 && echoes(sent, 0, to: 6..<12) == 3
                }
                #expect(try echoes(received, 0, to: 6..<12) == 0)
                #expect(try echoes(sent, 8, to: 0..<6) == 0)
            }
        }
    }
}
