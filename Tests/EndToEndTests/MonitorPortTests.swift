// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd {
    /// A monitor port on a host with IPv6, whose guests send what would change it or be answered.
    @Suite struct MonitorPortTests {
        private static let configuration = TappedHost.configuration.replacingOccurrences(
            of: "</virt-tap>",
            with: "<destination name='port'><monitor name='sniff0'/></destination></virt-tap>")

        /// A guest in a bridge in which this host has no address: whatever it learns of the guest's network, it learns from copies.
        private func withGuest(_ body: (TappedHost, Guest) async throws -> Void) async throws {
            try await TappedHost.with(["--ipv6"]) { host async throws in
                // Only what somebody has made for it can be mistaken for a network adapter: other devices of this host say nothing.
                try await host.lab.succeed(
                    "sh", "-ec",
                    """
                    ip link add br1 type bridge mcast_snooping 0
                    ip link add far1 type veth peer name near1
                    ip link set near1 master br1
                    for device in br1 near1 far1; do
                        echo 1 >/proc/sys/net/ipv6/conf/$device/disable_ipv6
                        ip link set $device arp off up
                    done
                    """)
                try await host.reload(Self.configuration)
                var options = GuestOptions(append: "vt.ipv6=1")
                options.nics = ["bridge=br1,ip=198.51.100.11/24"]
                let guest = try await host.lab.guest("web1", options)
                try await body(host, guest)
            }
        }

        /// What the host knows of others, without times and states.
        private func view(_ host: LabHost) async throws -> String {
            try await host.succeed(
                "sh", "-c",
                """
                ip route show table all; ip -6 route show table all
                ip neigh show dev sniff0 | sed 's/ [A-Z]*$//'; ip neigh show dev virttap-sniff0
                ip -o address show dev sniff0; ip -o address show dev virttap-sniff0
                """)
        }

        @Test func noGuestReachesTheHostByIt() async throws {
            try await withGuest { host, guest in
                let lab = host.lab
                // Set up by somebody who takes it for a network adapter.
                try await lab.succeed(
                    "sh", "-ec",
                    """
                    echo 2 >/proc/sys/net/ipv6/conf/sniff0/accept_ra
                    echo 0 >/proc/sys/net/ipv6/conf/sniff0/addr_gen_mode
                    echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter
                    echo 0 >/proc/sys/net/ipv4/conf/sniff0/rp_filter
                    echo 1 >/proc/sys/net/ipv4/conf/sniff0/arp_accept
                    ip link set sniff0 down
                    ip link set sniff0 arp on
                    """)
                let sensor = try await Sensor(lab, at: "virttap-sniff0", direction: "inout")
                try await lab.succeed("sh", "-ec", "ip link set sniff0 up; ip address add 198.51.100.1/24 dev sniff0")
                let atPort = try await Sensor(lab, at: "sniff0", direction: "inout")
                for port in ["67", "68", "5353", "40001"] {
                    try await lab.start(
                        "udp\(port)", ["socat", "-u", "UDP4-RECV:\(port),so-bindtodevice=sniff0,reuseaddr", "STDOUT"])
                    try await lab.start(
                        "udp6-\(port)", ["socat", "-u", "UDP6-RECV:\(port),so-bindtodevice=sniff0,ipv6only=1,reuseaddr", "STDOUT"])
                }
                try await eventually("its own address is there") {
                    let view = try await view(lab)
                    return view.contains("fe80::") && !view.contains("tentative")
                }
                try await guest.setMetadata("<tap name='ids' to='port'/>")
                try await host.wait(for: "web1")
                let device = try await guest.devices[0]
                let original = try await Sensor(lab, at: device, direction: "inout")
                let before = try await view(lab)
                let mac = try await lab.succeed("cat", "/sys/class/net/sniff0/address").trimmingCharacters(in: .whitespacesAndNewlines)

                // The guest asks, announces, floods, and speaks to the port's own address.
                // One line each: that is how the guest takes commands.
                for command in [
                    "vt-send eth0 198.51.100.255 40002 1 0 begin web1",
                    "arping -c 2 -w 3 -I eth0 198.51.100.1", "arping -U -c 2 -I eth0 198.51.100.11", "arping -A -c 2 -I eth0 198.51.100.1",
                    "vt-send eth0 255.255.255.255 40001 200 0 burst web1", "vt-send eth0 198.51.100.255 5353 20 0 burst web1",
                    "ip neigh replace 198.51.100.1 lladdr \(mac) dev eth0", "ping -c 3 -W 1 198.51.100.1",
                    "ping -c 1 -W 1 -s 3000 198.51.100.1", "ping -c 2 -W 1 -b 198.51.100.255", "ping -c 2 -W 1 ff02::1%eth0",
                    "ping -c 1 -W 1 fe80::1%eth0", "udhcpc -i eth0 -n -q -t 1 -T 1 -s /bin/true",
                ] { _ = try await guest.run(command) }
                // Its network's other machines: a router, a DHCP server, somebody who claims each address.
                try await lab.succeed("python3", "-c", Self.neighbours, mac)
                try await original.wait(for: 1) { $0.etherType == 0x86DD && $0.bytes.count > 54 && $0.bytes[54] == 134 }
                // The guest speaks when it likes: what counts are the frames from one on that all captures have.
                func frames(_ sensor: Sensor) throws -> ArraySlice<[UInt8]> {
                    try sensor.frames().drop { $0.number("begin", from: "web1") == nil }.map(\.bytes)[...]
                }
                // Nothing else was on either end, and nothing came back; what is down cannot have said anything before.
                try await eventually("each end has had the same frames as the guest's device") {
                    let originals = try frames(original)
                    return try originals.count > 230 && frames(atPort) == originals && frames(sensor) == originals
                }
                #expect(try await view(lab) == before)
                for port in ["67", "68", "5353", "40001"] {
                    #expect(lab.log("udp\(port)") == "" && lab.log("udp6-\(port)") == "", "something came to port \(port)")
                    try await lab.stop("udp\(port)")
                    try await lab.stop("udp6-\(port)")
                }
                #expect(try await guest.run("ping -c 1 -W 1 198.51.100.1").status != 0)
                let answer = try await host.virtTap("test", "web1")
                #expect(answer.status == 0 && answer.text.contains("arrived at sniff0"), "\(answer.text)\(answer.errorText)")
                try await guest.removeMetadata()
                try await host.waitForEnd(of: "web1")
            }
        }

        /// Sends, with the address of the port as its argument, what a router, a DHCP server and a claimant of addresses send.
        private static let neighbours = """
            import socket, struct, sys
            mac = bytes.fromhex(sys.argv[1].replace(":", ""))
            me = bytes.fromhex("525400aabbcc")
            link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            link.bind(("far1", 0))
            def total(data):
                data += b"\\0" * (len(data) % 2)
                value = sum(struct.unpack(">%dH" % (len(data) // 2), data))
                while value >> 16: value = (value & 0xffff) + (value >> 16)
                return ~value & 0xffff
            def udp(to, address, port, body):
                body = struct.pack(">HHHH", 67, port, 8 + len(body), 0) + body
                head = struct.pack(">BBHHHBBH4s4s", 69, 0, 20 + len(body), 1, 0, 64, 17, 0, socket.inet_aton("198.51.100.66"), socket.inet_aton(address))
                head = head[:10] + struct.pack(">H", total(head)) + head[12:]
                link.send(to + me + b"\\x08\\x00" + head + body)
            def arp(operation, source, target, to):
                link.send(to + me + b"\\x08\\x06" + struct.pack(">HHBBH6s4s6s4s", 1, 0x800, 6, 4, operation, me, socket.inet_aton(source), mac, socket.inet_aton(target)))
            def icmp6(to, source, destination, message):
                source, destination = (socket.inet_pton(socket.AF_INET6, one) for one in (source, destination))
                check = total(source + destination + struct.pack(">II", len(message), 58) + message)
                message = message[:2] + struct.pack(">H", check) + message[4:]
                link.send(to + me + b"\\x86\\xdd" + struct.pack(">IHBB", 6 << 28, len(message), 58, 255) + source + destination + message)
            everybody = b"\\xff" * 6
            for to in (everybody, mac):
                for port in (67, 68, 5353, 40001): udp(to, "255.255.255.255", port, b"\\x02\\x01\\x06" + b"\\0" * 297)
                udp(to, "198.51.100.1", 40001, b"hello")
                arp(1, "198.51.100.66", "198.51.100.1", to)
                arp(2, "198.51.100.66", "198.51.100.1", to)
                arp(2, "198.51.100.77", "198.51.100.77", to)
                icmp6(to, "fe80::66", "fe80::1", b"\\x87\\0\\0\\0\\0\\0\\0\\0" + socket.inet_pton(socket.AF_INET6, "fe80::1") + b"\\1\\1" + me)
                icmp6(to, "fe80::66", "ff02::1", b"\\x88\\0\\0\\0\\x20\\0\\0\\0" + socket.inet_pton(socket.AF_INET6, "fe80::66") + b"\\2\\1" + me)
            prefix = struct.pack(">BBBBIII16s", 3, 4, 64, 0xc0, 65535, 65535, 0, socket.inet_pton(socket.AF_INET6, "fd00:66::"))
            for _ in range(3): icmp6(b"\\x33\\x33\\0\\0\\0\\1", "fe80::66", "ff02::1", b"\\x86\\0\\0\\0" + struct.pack(">BBHII", 64, 0, 65535, 0, 0) + b"\\1\\1" + me + prefix)
            """

        @Test func nobodyWhoManagesDevicesIsHeardOnIt() async throws {
            try await LabHost.with(["--without-libvirtd", "--ipv6"]) { lab async throws in
                try lab.write(
                    "<virt-tap><destination name='port'><monitor name='sniff0'/></destination></virt-tap>", to: "/etc/virt-tap/config.xml")
                try lab.write(
                    "[Match]\nName=sniff0 virttap-*\n[Network]\nDHCP=yes\nIPv6AcceptRA=yes\nLinkLocalAddressing=yes\nLLMNR=yes\nEmitLLDP=yes\n",
                    to: "/run/systemd/network/10-all.network")
                // With a /sys that can be written it would wait for udev, which does not run in a host of the lab.
                let command = "mount -o remount,bind,ro /sys && SYSTEMD_LOG_LEVEL=debug exec /lib/systemd/systemd-networkd"
                try await lab.start("networkd", ["unshare", "--mount", "sh", "-c", command])
                let program = [LabHost.repository + "/scripts/as-unit", try TappedHost.program("virt-tapd")]
                try await lab.start("virt-tapd", program)
                try await eventually("the port is there") { try await lab.run("ip", "link", "show", "dev", "sniff0").status == 0 }
                let sensor = try await Sensor(lab, at: "sniff0", direction: "inout")
                let own = try await Sensor(lab, at: "virttap-sniff0")
                // It asks by DHCP, and when that is in vain by ARP, announces itself by LLDP, and is told that nothing of it was sent.
                try await eventually("networkd has tried", within: .seconds(120)) {
                    ["sniff0", "virttap-sniff0"].allSatisfy {
                        lab.log("networkd").contains("\($0): LLDP Tx: Failed to send packet")
                            && lab.log("networkd").contains("\($0): IPv4ACD: Failed to send ARP probe")
                    }
                }
                for client in ["sniff0", "virttap-sniff0"] {
                    _ = try await lab.run("busybox", "udhcpc", "-i", client, "-n", "-q", "-t", "2", "-T", "1", "-s", "/bin/true")
                    _ = try await lab.run("busybox", "arping", "-c", "2", "-w", "2", "-I", client, "192.0.2.77")
                }
                // A frame of somebody who may send whatever he likes: the captures do see.
                try await lab.succeed(
                    "python3", "-c",
                    """
                    import socket
                    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
                    link.setsockopt(263, 20, 1)
                    link.bind(("virttap-sniff0", 0))
                    link.send(b"\\xff" * 12 + b"\\x88\\xb5" + b"\\0" * 50)
                    """)
                try await sensor.wait(for: 1) { $0.etherType == 0x88B5 }
                #expect(try sensor.frames().count == 1 && own.frames().isEmpty)
                try await lab.stop("networkd")
                try await lab.stop("virt-tapd")
            }
        }

        @Test func itLivesAsLongAsTheConfigurationNamesIt() async throws {
            try await withGuest { host, guest in
                let lab = host.lab
                try await guest.setMetadata("<tap name='ids' to='port'/>")
                try await host.wait(for: "web1")
                func index() async throws -> String { try await lab.run("cat", "/sys/class/net/virttap-sniff0/ifindex").text }
                func destination() async throws -> DestinationStatus? { try await host.status().destinations.first { $0.name == "port" } }
                var sensor = try await Sensor(lab, at: "sniff0", direction: "inout")
                func send(_ count: Int, arrives: Int) async throws {
                    let before = try sensor.numbers("burst", from: "web1").count
                    try await guest.succeed("vt-send eth0 198.51.100.255 40001 \(count) 0 burst web1")
                    try await eventually("\(arrives) copies") { try sensor.numbers("burst", from: "web1").count == before + arrives }
                }
                try await send(50, arrives: 50)
                let shown = try #require(try await destination())
                #expect(shown.kind == .monitor && shown.device == "sniff0" && shown.state == .active)

                // The daemon's end, however it comes, and its next start.
                let first = try await index()
                try await host.stopDaemon()
                try await send(50, arrives: 50)
                try await host.startDaemon()
                try await host.wait(for: "web1")
                try await host.stopDaemon(signal: "KILL")
                try await send(50, arrives: 50)
                try await host.startDaemon()
                try await host.wait(for: "web1")
                #expect(try await index() == first)
                try await send(50, arrives: 50)
                #expect(try await sensor.stop() == 0)

                // A bad file at a reload and at a start.
                try await host.reload("<virt-tap><nonsense/></virt-tap>")
                try await eventually("the file is refused") { try await host.status().config.stale }
                try await host.stopDaemon()
                try await host.startDaemon()
                #expect(try await index() == first)
                try await host.reload(Self.configuration)
                try await host.wait(for: "web1")
                #expect(try await index() == first)

                // Somebody sets it down, and deletes it.
                try await lab.succeed("ip", "link", "set", "sniff0", "down")
                let down = try await host.wait(for: "web1", .failed, .destinationDown)
                #expect(down.message?.contains("`ip link set sniff0 up`") == true)
                try await lab.succeed("ip", "link", "set", "sniff0", "up")
                try await host.wait(for: "web1")
                try await lab.succeed("ip", "link", "del", "sniff0")
                try await eventually("it is made again") { try await ![first, ""].contains(index()) }
                try await host.wait(for: "web1")
                #expect(lab.log("virt-tapd").contains("somebody removed monitor port sniff0"))
                sensor = try await Sensor(lab, at: "sniff0", direction: "inout")
                try await send(50, arrives: 50)

                // A sensor in another network namespace, as a container has.
                try await lab.succeed("ip", "netns", "add", "ids")
                try await lab.succeed("ip", "link", "set", "sniff0", "netns", "ids")
                try await lab.succeed("ip", "-n", "ids", "link", "set", "sniff0", "up")
                try await host.wait(for: "web1")
                let before = try await lab.succeed("ip", "netns", "exec", "ids", "cat", "/proc/net/dev")
                try await guest.succeed("vt-send eth0 198.51.100.255 40001 50 0 burst web1")
                try await eventually("copies come there") {
                    try await lab.succeed("ip", "netns", "exec", "ids", "cat", "/proc/net/dev") != before
                }
                #expect(try await lab.run("ip", "link", "show", "dev", "sniff0").status != 0)
                #expect(try await host.virtTap("test", "web1").status == 0)
                try await lab.succeed("ip", "netns", "del", "ids")
                try await eventually("made again, here") { try await lab.run("ip", "link", "show", "dev", "sniff0").status == 0 }
                try await host.wait(for: "web1")

                // The end of everything, and of the metadata that asked for it.
                try await host.virtTapSucceeds("purge", "--now")
                #expect(try await index() == "")
                #expect(try await lab.run("ip", "link", "show", "dev", "sniff0").status != 0)
                try await host.reload(Self.configuration)
                try await host.wait(for: "web1")
                try await guest.removeMetadata()
                try await host.reload()
                try await eventually("it is gone, and all that was pinned for it") {
                    try await lab.run("sh", "-c", "! ip link show dev sniff0 2>/dev/null && ! ls /sys/fs/bpf/virt-tap/1 | grep -q port-")
                        .status
                        == 0
                }
                #expect(try await index() == "")

                // Whoever has the name keeps it.
                try await lab.succeed("ip", "link", "add", "sniff0", "type", "bridge")
                try await host.reload(Self.configuration)
                try await eventually("refused") { try await destination()?.reason == .destinationUnsafe }
                #expect(try await lab.succeed("ip", "-d", "link", "show", "dev", "sniff0").contains("bridge"))
                let check = try await host.virtTap("check")
                #expect((check.text + check.errorText).contains("a device sniff0 exists that is not a monitor port"))
                try await lab.succeed("ip", "link", "del", "sniff0")
                try await eventually("made in its place") { try await destination()?.state == .active }
            }
        }
    }
}
