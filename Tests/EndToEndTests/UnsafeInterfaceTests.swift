// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd.RunningGuests {
    /// No copy gets to a guest, or on to a network with others in it, whatever interface the configuration names, and whatever becomes of
    /// one that was right.
    @Suite struct UnsafeInterfaceTests {
        let host: TappedHost = .current
        var web1: Guest { host.web1 }

        init() async throws { try await host.withoutTaps() }

        private func configuration(_ interface: String) -> String {
            TappedHost.configuration.replacingOccurrences(of: "<interface name=\"late0\"/>", with: interface)
        }

        /// The guest's pings are answered once each, and the wire of its device has each frame once.
        private func hearsNothingTwice() async throws {
            let wire = try await Sensor(host.lab, at: "tap-web1", direction: "inout")
            let text = try await web1.succeed("ping -c 5 -i 0.2 \(EndToEnd.RunningGuests.address2)")
            #expect(text.contains("5 packets transmitted, 5 packets received, 0% packet loss") && !text.contains("uplicate"), "\(text)")
            try await wire.wait(for: 10) { $0.isICMPEcho }
            #expect(try await wire.stop() == 0)
            #expect(try wire.frames().count { $0.isICMPEcho } == 10)
        }

        @Test func anIFBHandsNothingBack() async throws {
            let lab = host.lab
            try await lab.succeed("ip", "link", "add", "ifb7", "up", "type", "ifb")
            for options in ["", " allow-shared=\"yes\""] {
                try await host.reload(configuration("<interface name=\"ifb7\"\(options)/>"))
                try await web1.setMetadata("<tap to='late'/>")
                try await host.wait(for: "web1", tap: "late", "denied, options \(options)") {
                    $0.state == .denied && $0.message?.contains("ifb7 is an ifb device, which hands what it is sent back") == true
                        && $0.message?.hasSuffix("does not permit this") == !options.isEmpty
                }
                try await hearsNothingTwice()
                #expect(try await host.virtTap("set", "web2", "--to", "late").status == 1)
                let check = try await host.virtTap("check", TappedHost.configurationPath)
                #expect(check.text.contains("destination late: ifb7 is an ifb device"), "\(check.text)")
                let doctor = try await host.virtTap("doctor")
                #expect(doctor.text.contains("ifb7 is an ifb device"), "\(doctor.text)")
            }
            let count = try await lab.succeed("cat", "/sys/class/net/ifb7/statistics/rx_packets")
            #expect(count == "0", "frames that were sent to it")
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1", tap: "late")
            try await lab.succeed("ip", "link", "delete", "ifb7")
            try await host.reload()
        }

        /// Others' networks: none of the frames gets there, with the option and without it.
        @Test func placesInOthersNetworksAreRefused() async throws {
            let lab = host.lab
            try await lab.succeed("ip", "link", "add", "low0", "up", "type", "veth", "peer", "name", "low1")
            try await lab.succeed("ip", "link", "add", "link", "low0", "name", "mvt7", "up", "type", "macvtap", "mode", "bridge")
            try await lab.succeed("ip", "link", "add", "way0", "up", "type", "veth", "peer", "name", "way1")
            for end in ["low1", "way1"] { try await lab.succeed("ip", "link", "set", end, "up") }
            try await lab.succeed("ip", "link", "set", "way1", "master", "br0")
            let ends = try await [Sensor(lab, at: "low1"), Sensor(lab, at: "way1")]
            var flows: [Flow] = []
            for (name, why) in [
                ("low0", "is the adapter below mvt7 (macvtap)"), ("mvt7", "is a macvtap device"), ("br0", "is a bridge"),
                ("way1", "is a port of bridge br0"), ("way0", "leads to its other end, way1, which is a port of bridge br0"),
                ("tap-web1", "is the device of a running domain"), ("lo", "is the loopback device"),
            ] {
                try await host.reload(configuration("<interface name=\"\(name)\" allow-shared=\"yes\"/>"))
                try await web1.setMetadata("<tap to='late'/>")
                try await host.wait(for: "web1", tap: "late", "denied: \(why)") {
                    $0.state == .denied && $0.reason == .destinationUnsafe && $0.message?.contains("\(name) \(why)") == true
                }
                flows.append(try await Flow.send(20, from: web1, to: EndToEnd.RunningGuests.address2))
            }
            for end in ends {
                #expect(try await end.stop() == 0)
                for flow in flows { #expect(try flow.numbers(in: end).isEmpty) }
            }
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1", tap: "late")
            for device in ["mvt7", "low0", "way0"] { try await lab.succeed("ip", "link", "delete", device) }
            try await host.reload()
        }

        /// What was right when copying began.
        @Test func copyingStopsWhenTheInterfaceIsNoLongerTheSensorsAlone() async throws {
            let lab = host.lab
            try await lab.succeed("ip", "link", "add", "late0", "up", "type", "veth", "peer", "name", "late1")
            try await lab.succeed("ip", "link", "set", "late1", "arp", "off", "up")
            try await lab.succeed("ip", "link", "add", "br7", "up", "type", "bridge", "mcast_snooping", "0")
            try await web1.setMetadata("<tap to='late'/>")
            try await host.wait(for: "web1", tap: "late")
            let sensor = try await Sensor(lab, at: "late1")
            let flow = try await Flow.start(web1, to: EndToEnd.RunningGuests.address2)
            for (change, back, why) in [
                ("link set late0 master br7", "link set late0 nomaster", "late0 is a port of bridge br7"),
                (
                    "link set late1 master br7", "link set late1 nomaster",
                    "late0 leads to its other end, late1, which is a port of bridge br7"
                ),
                ("link add link late0 name mv7 type macvlan", "link del mv7", "late0 is the adapter below mv7 (macvlan)"),
                ("address add 203.0.113.1/24 dev late0", "address flush dev late0", "late0 has an IP address"),
            ] {
                try await flow.moves(at: sensor)
                try await lab.succeed("sh", "-c", "ip \(change)")
                let tap = try await host.wait(for: "web1", tap: "late", .denied, .destinationUnsafe)
                #expect(tap.message?.contains(why) == true, "\(tap.message ?? "")")
                // What was on its way has come.
                try await web1.pingsWithoutLoss(EndToEnd.RunningGuests.address2)
                let before = try flow.numbers(in: sensor).count
                try await web1.pingsWithoutLoss(EndToEnd.RunningGuests.address2)
                #expect(try flow.numbers(in: sensor).count == before)
                try await lab.succeed("sh", "-c", "ip \(back)")
                try await host.wait(for: "web1", tap: "late")
            }
            try await flow.moves(at: sensor)
            try await flow.stop()
            #expect(try await sensor.stop() == 0)
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1", tap: "late")
            for device in ["br7", "late0"] { try await lab.succeed("ip", "link", "delete", device) }
        }

        @Test func anInterfaceMayBeCalledByAnAltname() async throws {
            let lab = host.lab
            let name = "enp5s0f0np0-the-sensors-own-port"
            try await host.reload(configuration("<interface name=\"\(name)\"/>"))
            try await lab.succeed("ip", "link", "add", "late0", "up", "type", "veth", "peer", "name", "late1")
            try await lab.succeed("ip", "link", "set", "late1", "arp", "off", "up")
            try await web1.setMetadata("<tap to='late'/>")
            try await host.wait(for: "web1", tap: "late", .failed, .destinationDown)
            // The kernel tells of it as of any other change.
            try await lab.succeed("ip", "link", "property", "add", "dev", "late0", "altname", name)
            try await host.wait(for: "web1", tap: "late")
            #expect(try await host.status().destinations.first { $0.name == "late" }?.device == "late0")
            let sensor = try await Sensor(lab, at: "late1")
            try await Flow.send(50, from: web1, to: EndToEnd.RunningGuests.address2).isComplete(at: sensor, 50)
            #expect(try await sensor.stop() == 0)
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1", tap: "late")
            try await lab.succeed("ip", "link", "delete", "late0")
            try await host.reload()
        }

        /// README's pair of old: the commands that the warning has make it quiet.
        @Test func theHostThatListensAtTheOtherEndIsAWarning() async throws {
            let lab = host.lab
            try await lab.succeed("ip", "link", "add", "late0", "up", "type", "veth", "peer", "name", "late1")
            try await lab.succeed("sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/late1/disable_ipv6; ip link set late1 up")
            try await lab.succeed("ip", "address", "add", "203.0.113.1/24", "dev", "late1")
            try await web1.setMetadata("<tap to='late'/>")
            try await host.wait(for: "web1", tap: "late")
            func warning() async throws -> String? {
                try await host.status().destinations.first { $0.name == "late" }?.warnings.first { $0.reason == .hostListens }?.message
            }
            let message = try #require(try await warning())
            for words in ["ARP is on", "IPv6 is on", "203.0.113.1/24"] { #expect(message.contains(words), "\(message)") }
            for command in ["status", "doctor"] {
                let text = try await host.virtTap(command).text
                #expect(text.contains("late1, the other end of late0") && text.contains("(host-listens)"), "\(text)")
            }
            let check = try await host.virtTap("check", TappedHost.configurationPath)
            #expect(check.status == 0 && check.text.contains("(host-listens)"), "\(check.text)")
            #expect(host.lab.log("virt-tapd").contains("destination late: late1, the other end of late0"))

            // It really answers: a guest asks for an address of the host, and the copy of its question is answered at late0.
            let near = try await Sensor(lab, at: "late0")
            _ = try await web1.run("arping -c 1 -w 1 -I eth0 203.0.113.1")
            try await near.wait(for: 1) { $0.isARPReply }

            // And it takes what a guest sends to that end's own address, which the copy carries there.
            let address = try await lab.succeed("cat", "/sys/class/net/late1/address")
            let question = "arp -s 203.0.113.1 \(address); ip route add 203.0.113.0/24 dev eth0; ping -c 3 -W 2 203.0.113.1"
            #expect(try await web1.run(question).text.contains("3 packets received"))

            let commands = message.split(separator: "`", omittingEmptySubsequences: false).enumerated().filter { $0.offset % 2 == 1 }
            #expect(commands.count == 4)
            for command in commands { try await lab.succeed("sh", "-c", String(command.element)) }
            try await eventually("it is quiet, and nothing is said") { try await warning() == nil }
            let before = try near.frames().count { $0.isARPReply }
            #expect(try await web1.run(question).text.contains("0 packets received"))
            _ = try await web1.run("arp -d 203.0.113.1; ip route del 203.0.113.0/24 dev eth0")
            let far = try await Sensor(lab, at: "late1")
            _ = try await web1.run("arping -c 1 -w 1 -I eth0 203.0.113.1")
            try await far.wait(for: 1) { $0.isARPRequest }
            try await Flow.send(50, from: web1, to: EndToEnd.RunningGuests.address2).isComplete(at: far, 50)
            #expect(try near.frames().count { $0.isARPReply } == before)
            for sensor in [near, far] { #expect(try await sensor.stop() == 0) }
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1", tap: "late")
            try await lab.succeed("ip", "link", "delete", "late0")
        }
    }
}

extension CapturedFrame {
    /// Of ping, either way.
    fileprivate var isICMPEcho: Bool { bytes.count > 34 && bytes[12...13] == [8, 0] && bytes[23] == 1 && [0, 8].contains(bytes[34]) }
    fileprivate var isARPRequest: Bool { isARP(1) }
    fileprivate var isARPReply: Bool { isARP(2) }

    private func isARP(_ operation: UInt8) -> Bool { bytes.count >= 42 && bytes[12...13] == [8, 6] && bytes[21] == operation }
}
