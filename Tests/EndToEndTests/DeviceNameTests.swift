// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd.RunningGuests {
    /// Names that two domains have, and devices that leave their names, or this host.
    @Suite struct DeviceNameTests {
        let host: TappedHost = .current

        init() async throws { try await host.withoutTaps() }

        private func options(_ interface: String, _ metadata: String) -> GuestOptions {
            var options = GuestOptions(metadata: metadata)
            options.interfaces = [interface]
            options.transient = true
            return options
        }

        /// A second domain from the same template starts when the first one's device has another name.
        @Test func aNameThatIsFreeAgainIsAnotherDomains() async throws {
            func template(_ number: Int, _ destination: String) -> GuestOptions {
                var options = options(
                    "<interface type='bridge'><mac address='52:54:00:aa:bb:0\(number)'/><source bridge='br0'/><target dev='fixlan'/>"
                        + "<model type='virtio'/><rom enabled='no'/></interface>",
                    "<tap xmlns='urn:virt-tap:1' to='\(destination)' direction='outbound'><interface device='fixlan'/></tap>")
                options.append = "vt.ip.0=192.0.2.\(20 + number)/24"
                return options
            }
            let (ids, span) = (try await Sensor(host.lab, at: "ids1"), try await Sensor(host.lab, at: "span1"))
            let first = try await host.lab.guest("first", template(1, "ids"))
            let before = try await host.wait(for: "first")
            try await host.lab.succeed("ip", "link", "set", "fixlan", "name", "wan7")
            try await host.wait(for: "first", "is called wan7") { tap in
                tap.state == .active && tap.warnings.contains { $0.reason == .deviceChanged && $0.message.contains("wan7") }
            }
            let second = try await host.lab.guest("second", template(2, "span"))
            func bothAreTapped() async throws {
                let one = try await host.wait(for: "first")
                let other = try await host.wait(for: "second", tap: "span")
                #expect(one.interfaces.map(\.ifindex) == before.interfaces.map(\.ifindex) && one.interfaces.map(\.device) == ["wan7"])
                #expect(one.interfaces.map(\.since) == before.interfaces.map(\.since))
                #expect(other.interfaces.map(\.device) == ["fixlan"] && other.interfaces.map(\.ifindex) != one.interfaces.map(\.ifindex))
                let (flow, otherFlow) = (
                    try await Flow.send(20, from: first, to: "192.0.2.255"), try await Flow.send(20, from: second, to: "192.0.2.255")
                )
                try await flow.isComplete(at: ids, 20)
                try await otherFlow.isComplete(at: span, 20)
                #expect(try flow.numbers(in: span).isEmpty && otherFlow.numbers(in: ids).isEmpty)
            }
            try await bothAreTapped()
            try await host.stopDaemon()
            try await host.startDaemon()
            try await bothAreTapped()
            try await first.destroy()
            try await eventually("first is forgotten") { try await host.taps(of: "first").isEmpty }
            try await host.wait(for: "second", tap: "span")
            try await second.destroy()
            try await eventually("second is forgotten") { try await host.taps(of: "second").isEmpty }
            for sensor in [ids, span] { #expect(try await sensor.stop() == 0) }
        }

        /// A device of many queues, which two QEMUs can have open.
        @Test func whatTwoRunningDomainsNameIsWhoseItWas() async throws {
            try await host.lab.succeed("ip", "tuntap", "add", "shared", "mode", "tap", "multi_queue")
            try await host.lab.succeed("ip", "link", "set", "shared", "up")
            func sharing(_ number: Int, required: Bool = false) -> GuestOptions {
                var options = options(
                    "<interface type='ethernet'><mac address='52:54:00:aa:cc:0\(number)'/><target dev='shared' managed='no'/>"
                        + "<model type='virtio'/><driver name='qemu' queues='2'/><rom enabled='no'/></interface>",
                    "<tap xmlns='urn:virt-tap:1' to='ids' required='\(required ? "yes" : "no")'/>")
                options.ready = false
                return options
            }
            let one = try await host.lab.guest("one", sharing(1))
            let before = try await host.wait(for: "one")
            let other = try await host.lab.guest("other", sharing(2))
            let denied = try await host.wait(for: "other", .denied, .deviceNotOwned)
            #expect(denied.message?.contains("was found to be the device of the running domain") == true, "\(denied)")
            await #expect(throws: CommandFailure.self) { try await host.lab.guest("third", sharing(3, required: true)) }
            for _ in 1...2 {
                #expect(try await host.wait(for: "one").interfaces.map(\.since) == before.interfaces.map(\.since))
                try await host.wait(for: "other", .denied, .deviceNotOwned)
                try await host.stopDaemon()
                try await host.startDaemon()
                try await eventually("the daemon knows all domains") { try await host.status().daemon.complete == true }
            }
            // Where nobody has it proved, nobody gets it.
            try await host.stopDaemon()
            try await host.virtTapSucceeds("purge")
            try await host.startDaemon()
            for domain in ["one", "other"] {
                let tap = try await host.wait(for: domain, .denied, .deviceNotOwned)
                #expect(tap.message?.contains("names it as well") == true && tap.message?.contains("ip link") == false, "\(tap)")
            }
            try await other.destroy()
            try await host.wait(for: "one")
            try await one.destroy()
            for domain in ["one", "other"] { try await eventually("\(domain) is forgotten") { try await host.taps(of: domain).isEmpty } }
            try await host.lab.succeed("ip", "link", "delete", "shared")
        }

        /// Copies there would go to whatever has the destination's number there.
        @Test func aDeviceThatLeavesThisNetworkNamespaceIsTappedNoMore() async throws {
            try await host.lab.succeed("ip", "netns", "add", "elsewhere")
            try await host.lab.succeed("ip", "tuntap", "add", "roam0", "mode", "tap")
            var options = options(
                "<interface type='ethernet'><mac address='52:54:00:aa:cc:04'/><target dev='roam0' managed='no'/><model type='virtio'/>"
                    + "<rom enabled='no'/></interface>",
                "<tap xmlns='urn:virt-tap:1' to='ids'/>")
            options.ready = false
            // Held by libvirtd when its hook is called, though it is down.
            let guest = try await host.lab.guest("roams", options)
            let tap = try await host.wait(for: "roams", "a remark that it is down") { tap in
                tap.state == .active && tap.warnings.contains { $0.reason == .deviceChanged && $0.message.contains("roam0: it is down") }
            }
            #expect(tap.interfaces.count == 1)
            try await host.lab.succeed("ip", "link", "set", "roam0", "netns", "elsewhere")
            try await host.wait(for: "roams", .pending, .deviceGone)
            try await eventually("nothing of it is left in the kernel") { try await host.pins(of: guest).isEmpty }
            // One that nobody holds has its name meanwhile.
            try await host.lab.succeed("ip", "tuntap", "add", "roam0", "mode", "tap")
            let empty = try await host.wait(for: "roams", .denied, .deviceNotOwned)
            #expect(empty.message?.contains("nobody holds it open") == true, "\(empty)")
            try await host.lab.succeed("ip", "link", "delete", "roam0")
            try await host.wait(for: "roams", .pending, .deviceGone)
            try await host.lab.succeed("ip", "netns", "exec", "elsewhere", "ip", "link", "set", "roam0", "netns", "1")
            try await host.wait(for: "roams", "is tapped again") { $0.state == .active }
            try await guest.destroy()
            try await eventually("it is forgotten") { try await host.taps(of: "roams").isEmpty }
            try await host.lab.succeed("ip", "link", "delete", "roam0")
            try await host.lab.succeed("ip", "netns", "delete", "elsewhere")
        }

        /// Which names libvirt keeps in a definition: those that can be chosen by, and no others.
        @Test func libvirtKeepsTheNamesThatCanBeChosenBy() async throws {
            for (name, isKept) in [
                ("web1lan", true), ("tap100i0", true), ("Vnet0", true), ("vnet7", false), ("macvtap7", false), ("macvlan7", false),
            ] {
                let xml = """
                    <domain type='qemu'><name>names</name><memory>65536</memory><os><type>hvm</type></os><devices>
                    <interface type='bridge'><source bridge='br0'/><target dev='\(name)'/></interface></devices></domain>
                    """
                let defined = try await host.lab.run(["virsh", "-q", "define", "/dev/stdin"], input: Data(xml.utf8))
                #expect(defined.status == 0, "\(defined.text)")
                #expect(try await host.lab.virsh("dumpxml", "names").contains("dev='\(name)'") == isKept, "\(name)")
                let set = try await host.virtTap("set", "names", "--to", "ids", "--interface", name)
                #expect((set.status == 0) == isKept, "\(name): \(set.text)")
                #expect(try await host.lab.virsh("dumpxml", "names").contains("device=\"\(name)\"") == isKept, "\(name)")
                try await host.lab.virsh("undefine", "names")
            }
        }
    }
}
