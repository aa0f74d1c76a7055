// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapControl
import TapModel
import TestSupport
import Testing

extension EndToEnd.RunningGuests {
    /// Only what is provably the domain's device is tapped, whatever its XML says.
    @Suite struct ForeignDeviceTests {
        let host: TappedHost = .current
        var web1: Guest { host.web1 }

        init() async throws { try await host.withoutTaps() }

        /// A name that somebody wrote into a type that has no device at all.
        @Test func devicesThatAUserInterfaceNames() async throws {
            try await leavingTheVictimAlone {
                var options = GuestOptions(metadata: "<tap xmlns='urn:virt-tap:1' to='span'/>")
                options.interfaces = Self.foreign.map { "<interface type='user'><target dev='\($0)'/><model type='virtio'/></interface>" }
                options.transient = true
                options.ready = false
                let guest = try await host.lab.guest("thief", options)
                let xml = try await host.lab.virsh("dumpxml", "thief")
                #expect(Self.foreign.allSatisfy { xml.contains("dev='\($0)'") })
                let tap = try await host.wait(for: "thief", tap: "span", .unsupported, .interfaceTypeUnsupported)
                #expect(tap.interfaces.count == Self.foreign.count)
                #expect(try await host.pins(of: guest).isEmpty)
                try await guest.destroy()
                try await eventually("the thief is forgotten") { try await host.taps(of: "thief").isEmpty }
            }
        }

        /// The same by way of the hook, with every type that has a device.
        @Test func devicesThatTheHooksInputNames() async throws {
            try await leavingTheVictimAlone {
                for type in ["bridge", "ethernet", "network", "direct"] {
                    for device in Self.foreign {
                        let tap = try await callHook(type: type, mac: "52:54:00:66:66:66", device: device)
                        #expect(tap?.state == .denied)
                        #expect(tap?.reason == .deviceNotOwned, "\(type) \(device)")
                    }
                }
            }
        }

        /// Another's device and its MAC as well: who had it keeps it.
        @Test func aTwinDoesNotGetTheDevice() async throws {
            try await leavingTheVictimAlone {
                let mac = try #require(try await host.tap(of: "web1")?.interfaces.first?.mac)
                let tap = try await callHook(type: "bridge", mac: mac.description, device: "tap-web1")
                #expect(tap?.state == .denied)
                #expect(tap?.reason == .deviceNotOwned)
            }
        }

        /// Tells the daemon as the hook would that a domain starts that libvirt does not know, and what became of its tap.
        private func callHook(type: String, mac: String, device: String) async throws -> TapStatus? {
            let uuid = UUID().uuidString
            let xml = """
                <domain type='qemu' id='99'><name>thief</name><uuid>\(uuid)</uuid>
                <metadata><tap xmlns='urn:virt-tap:1' to='span'/></metadata>
                <devices><interface type='\(type)'>
                <mac address='\(mac)'/><target dev='\(device)'/><alias name='net0'/>
                </interface></devices>
                </domain>
                """
            func call(_ operation: String, _ suboperation: String) async throws -> HookAnswer {
                let call = HookCall(guest: "thief", operation: operation, suboperation: suboperation, extra: "-", xml: Array(xml.utf8))
                return try #require(await host.ask(.hook(call))?.hook)
            }
            let answer = try await call("start", "begin")
            #expect(answer.allow)
            #expect(answer.lines.joined().contains("device-not-owned"), "\(answer)")
            let tap = try await host.tap("span", of: "thief")
            _ = try await call("release", "end")
            try await eventually("the thief is forgotten") { try await host.taps(of: "thief").isEmpty }
            return tap
        }

        /// A NIC of the host that is called as a guest's own might be, a bridge, another guest's device.
        private static let foreign = ["eth0", "br0", "tap-web1"]

        /// web1's tap stands before and after, untouched, and nothing is attached besides.
        private func leavingTheVictimAlone(_ body: () async throws -> Void) async throws {
            try await host.lab.succeed("ip", "link", "add", "eth0", "up", "type", "veth", "peer", "name", "eth0-peer")
            try await web1.setMetadata("<tap to='ids'/>")
            let before = try await host.wait(for: "web1")
            let pins = try host.pins()
            try await body()
            let after = try await host.wait(for: "web1")
            #expect(try host.pins() == pins)
            #expect(after.interfaces.first?.since == before.interfaces.first?.since)
            #expect(after.interfaces.first?.position == 0)
            #expect(try await !host.lab.succeed("tc", "qdisc", "show").contains("clsact"))
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1")
            try await host.lab.succeed("ip", "link", "delete", "eth0")
        }
    }
}
