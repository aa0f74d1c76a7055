// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd.RunningGuests {
    /// A real intrusion detection finds in the copies what it finds at the guest's own device.
    @Suite struct SuricataTests {
        let host: TappedHost = .current
        var web1: Guest { host.web1 }
        var web2: Guest { host.web2 }

        init() async throws { try await host.withoutTaps() }

        /// What this Suricata can take apart itself, each at an address of its own.
        private static let tunnels = [
            ("vx", "vxlan", "10.9.0.3", "vni='5'"), ("gn", "geneve", "10.9.0.4", "vni='5'"), ("gre", "gre", "10.9.0.5", "key='6'"),
            ("ersp", "erspan", "10.9.0.6", "version='1' session='7'"),
        ]

        private static var configuration: String {
            // As on a wire, into a device; by VXLAN that Linux takes apart.
            let named =
                [
                    ("wire", " mtu='1500'", "<interface name='span0'/>"),
                    ("port", " mtu='1500'", "<monitor name='port0'/>"),
                    ("linux", "", "<vxlan remote='10.9.0.2' vni='\(FarMachine.identifier)'/>"),
                ] + tunnels.map { ($0.0, "", "<\($0.1) remote='\($0.2)' \($0.3)/>") }
            return TappedHost.configuration.replacingOccurrences(
                of: "</virt-tap>",
                with: named.map { "<destination name='\($0.0)'\($0.1)>\($0.2)</destination>" }.joined() + "</virt-tap>")
        }

        /// One of each: a request, an answer whose alarming part is in the midst of a GSO packet, text that lies across segments, a
        /// datagram, and an echo in fragments.
        private func attack() async throws {
            let address = EndToEnd.RunningGuests.address2
            let fill = "head -c 50000 /dev/zero | tr '\\0' x"
            try await web2.succeed("mkdir -p /tmp/evil/etc && cd /tmp/evil/etc && (\(fill); echo root:x:0:0:root; \(fill)) >passwd")
            try await web2.succeed("cd /tmp/evil/etc && seq 300 | sed 's/$/ uid=0(root) gid=0(root) groups=0(root)/' >id")
            try await web2.succeed("httpd -f -p 8081 -h /tmp/evil & echo $! >/tmp/evil/pid")
            try await web1.succeed(
                "wget -q -O /dev/null http://\(address):8081/etc/passwd && wget -q -O /dev/null http://\(address):8081/etc/id")
            try await web1.succeed("timeout 1 tftp -g -r etc/shadow -l /dev/null \(address); ping -c 1 -s 3000 -p de \(address)")
            try await web2.succeed("kill $(cat /tmp/evil/pid); rm -r /tmp/evil")
        }

        @Test func itRaisesTheSameAlertsFromCopies() async throws {
            let far = try await FarMachine(host.lab)
            try await far.connect()
            // A wire: a veth would hand on what no card sends, GSO packets and checksums that are none.
            try await host.lab.succeed("ethtool", "-K", "up0", "tx", "off", "tso", "off", "gso", "off")
            try await host.reload(Self.configuration)
            // Offloads are the guest's device's, and none of a sensor's business: it accepts GSO packets without checksums.
            let whole = [
                "capture.disable-offloading=false", "af-packet.1.block-size=1048576", "default-packet-size=65549",
                "af-packet.1.checksum-checks=no",
            ]
            try await eventually("the monitor port is there") { try await host.lab.run("ip", "link", "show", "dev", "port0").status == 0 }
            let original = try await Suricata(host.lab, at: "tap-web1", settings: whole)
            var sensors = [
                ("wire", try await Suricata(host.lab, at: "span1")), ("port", try await Suricata(host.lab, at: "port0")),
                ("linux", try await Suricata(host.lab, at: "vx", in: "far")),
            ]
            for (name, _, address, _) in Self.tunnels {
                try await host.lab.succeed("ip", "-n", "far", "address", "add", "\(address)/24", "dev", "up1")
                sensors.append((name, try await Suricata(host.lab, at: "up1", in: "far", filter: "dst host \(address)")))
            }
            for (name, _) in sensors {
                try await host.setTap("web1", "--to", name)
                try await host.wait(for: "web1", tap: name)
            }
            try await attack()
            for suricata in [original] + sensors.map(\.1) {
                try await suricata.wait(for: 2)
                try await suricata.wait(for: 5)
            }
            let seen = try await original.stop()
            #expect(Set(seen.alerts.map(\.signature)) == [1, 2, 3, 4, 5])
            #expect(seen.dropped == 0 && seen.invalid == 0)
            for (name, suricata) in sensors {
                let copies = try await suricata.stop()
                print("suricata: \(name): \(copies.packets) packets, \(copies.alerts.count) alerts")
                #expect(copies.alerts == seen.alerts, "\(name)")
                #expect(copies.invalid == 0 && copies.dropped == 0 && copies.gaps == 0 && copies.wrongChecksums == 0, "\(name): \(copies)")
                try await host.virtTapSucceeds("unset", "web1", name)
                try await host.waitForEnd(of: "web1", tap: name)
            }
            try await far.remove()
            try await host.reload()
        }
    }
}
