// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import Foundation
import TapModel
import Testing

extension KernelSuite {
    /// Real devices, as rtnetlink describes them, and what is decided of them.
    @Suite("Interfaces that copies may be sent to")
    struct InterfaceSafetyTests {
        /// How a device `x0` of each kind is made beside the pair `low0`, `low1`; the kernels of `make test-kernels` have nearly all.
        static let makings: [(kind: String, commands: String, verdict: String)] = [
            ("veth", "link add x0 type veth peer name x1", ""),
            ("tap", "tuntap add mode tap name x0", "never"),
            ("dummy", "link add x0 type dummy", ""),
            ("vlan", "link add link low0 name x0 type vlan id 7", "shared"),
            ("bond", "link add x0 type bond\nlink set low0 down\nlink set low0 master x0", "shared"),
            ("team", "link add x0 type team\nlink set low0 down\nlink set low0 master x0", "shared"),
            ("macsec", "link add link low0 name x0 type macsec", "shared"),
            ("vxlan", "link add x0 type vxlan id 7 remote 192.0.2.9 dstport 4789", "shared"),
            ("geneve", "link add x0 type geneve id 7 remote 192.0.2.9", "shared"),
            ("gretap", "link add x0 type gretap local 192.0.2.1 remote 192.0.2.9", "shared"),
            ("erspan", "link add x0 type erspan local 192.0.2.1 remote 192.0.2.9 seq key 7 erspan_ver 1", "shared"),
            ("hsr", "link add x0 type hsr slave1 low0 slave2 low1", "shared"),
            ("bridge", "link add x0 type bridge", "never"),
            ("ifb", "link add x0 type ifb", "never"),
            ("macvlan", "link add link low0 name x0 type macvlan", "never"),
            ("macvtap", "link add link low0 name x0 type macvtap", "never"),
            ("ipvlan", "link add link low0 name x0 type ipvlan", "never"),
            ("ipvtap", "link add link low0 name x0 type ipvtap", "never"),
            ("vrf", "link add x0 type vrf table 7", "never"),
            ("batadv", "link add x0 type batadv", "never"),
            ("nlmon", "link add x0 type nlmon", "never"),
            ("vsockmon", "link add x0 type vsockmon", "never"),
            ("tun", "tuntap add mode tun name x0", "never"),
            ("wireguard", "link add x0 type wireguard", "never"),
            ("gre", "link add x0 type gre local 192.0.2.1 remote 192.0.2.9", "never"),
            ("ipip", "link add x0 type ipip local 192.0.2.1 remote 192.0.2.9", "never"),
            ("sit", "link add x0 type sit local 192.0.2.1 remote 192.0.2.9", "never"),
            ("ip6tnl", "link add x0 type ip6tnl remote 2001:db8::9", "never"),
            ("vti", "link add x0 type vti local 192.0.2.1 remote 192.0.2.9 key 7", "never"),
            ("xfrm", "link add x0 type xfrm if_id 7", "never"),
            ("vcan", "link add x0 type vcan", "never"),
        ]
        /// What one of the kernels of `make test-kernels` lacks.
        private static let rare: Set<String> = ["hsr", "vsockmon"]
        /// What the kernel that runs the other tests has.
        private static let least: Set<String> = ["veth", "tap", "vxlan", "bridge", "ifb", "macvlan", "macvtap", "tun"]

        private let looks = Looks()

        init() throws { try PrivateNamespaces.require() }

        @Test("Each kind of device that this kernel makes")
        func kinds() throws {
            var made: Set<String> = []
            for making in Self.makings {
                do {
                    try looks.with(making.commands) {
                        made.insert(making.kind)
                        let text = try looks.verdict().text
                        #expect(text.prefix { $0 != ":" } == making.verdict, "\(making.kind): \(text)")
                        #expect(!text.contains("does not know"), "\(making.kind): \(text)")
                    }
                } catch {
                    // Who has all modules misses none of them.
                    #expect(
                        !Self.least.contains(making.kind) && (!KernelSuite.isEmulated || Self.rare.contains(making.kind)),
                        "\(making.kind): \(error)")
                }
            }
            #expect(made.isSuperset(of: Self.least))
        }

        @Test("Masters, devices on top, and the other end of a pair, as they come and go")
        func neighbours() throws {
            try looks.with("link add x0 up type veth peer name x1\nlink add y0 up type bridge") {
                for (change, back, text) in [
                    ("link set x0 master y0", "link set x0 nomaster", "never: is a port of bridge y0"),
                    ("link set x1 master y0", "link set x1 nomaster", "never: leads to its other end, x1, which is a port of bridge y0"),
                    (
                        "link add link x0 name z0 type macvtap", "link del z0",
                        "never: is the adapter below z0 (macvtap): copies would go out into that device's network"
                    ),
                    (
                        "link add link x1 name z0 type macvlan", "link del z0",
                        "never: leads to its other end, x1, which is the adapter below z0 (macvlan): copies would go out into that device's network"
                    ),
                    ("address add 192.0.2.1/24 dev x0", "address flush dev x0", "shared: has an IP address"),
                    ("address add 192.0.2.1/24 dev x1", "address flush dev x1", ""),
                ] {
                    #expect(try looks.verdict().text == "")
                    try ip(change + "\n")
                    #expect(try looks.verdict().text == text)
                    try ip(back + "\n")
                }
                #expect(try looks.verdict().text == "")
            }
        }

        @Test("A pair whose other end is in another network namespace")
        func otherNamespace() throws {
            try run("ip", "netns", "add", "away")
            defer { NetworkNamespace("away").remove() }
            try looks.with("link add x0 up type veth peer name x1 netns away") {
                let device = try #require(try looks.dataplane.devices().first { $0.name == "x0" })
                #expect(device.isLinkElsewhere && device.link == nil)
                #expect(try looks.verdict().text == "")
            }
        }

        @Test("Altnames, and what the host does at a device, are read")
        func facts() throws {
            let long = "enp5s0f0np0-\(String(repeating: "x", count: 115))"
            try looks.with("link add x0 up type veth peer name x1\nlink property add dev x0 altname \(long) altname short-one") {
                try run("sysctl", "-qw", "net.ipv6.conf.x1.disable_ipv6=0")
                func device(_ name: String) throws -> HostDevice { try #require(try looks.dataplane.devices().first { $0.name == name }) }
                let (near, far) = (try device("x0"), try device("x1"))
                #expect(Set(near.alternativeNames) == [long, "short-one"] && far.alternativeNames.isEmpty)
                #expect(near.peer == far.index && far.peer == near.index && near.lower == nil && near.isEthernet)
                #expect(try looks.dataplane.device(named: "x0")?.alternativeNames == near.alternativeNames)
                #expect(far.hasARP && far.hasIPv6 && far.takesAnySource)
                try ip("link set x1 arp off\n")
                try run("sysctl", "-qw", "net.ipv6.conf.x1.disable_ipv6=1")
                try run("sysctl", "-qw", "net.ipv4.conf.x1.rp_filter=1")
                let quiet = try device("x1")
                #expect(!quiet.hasARP && !quiet.hasIPv6 && !quiet.takesAnySource)
                #expect(try looks.dataplane.device(named: "x1")?.takesAnySource == false)
                // The greater of the two counts, and 2 is loose.
                try ip("link set x1 up\n")
                let settings = [
                    (1, 0, false), (2, 1, true), (2, 0, true), (2, 2, true), (0, 2, true), (1, 2, true), (0, 0, true),
                ]
                for (all, own, takesAny) in settings {
                    try run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=\(all)", "net.ipv4.conf.x1.rp_filter=\(own)")
                    #expect(try device("x1").takesAnySource == takesAny, "\(all) \(own)")
                    #expect(try device("x1").isSourceCheckOverruled == (all == 2), "\(all) \(own)")
                    // What the warning says to run ends it, whatever was set.
                    let host = HostState(
                        configuration: HostConfiguration(), devices: DeviceTable(try looks.dataplane.devices()), claims: DeviceClaims(),
                        mechanism: .success(.tcx))
                    let status = DestinationStatus(
                        DestinationDefinition(name: TapName("x")!, target: .interface(name: "x0", allowShared: false)), on: host)
                    let message = status.warnings.first { $0.reason == .hostListens }?.message
                    #expect((message != nil) == takesAny)
                    guard let command = message?.split(separator: "`").dropFirst().first else { continue }
                    try run("sh", "-c", String(command))
                    #expect(try !device("x1").takesAnySource, "\(command)")
                }

                // A tunnel's device= by each of them.
                try ip("addr add 10.7.0.1/24 dev x0\n")
                for name in ["x0", "short-one", long] {
                    let query = UnderlayQuery(remote: [10, 7, 0, 2], device: name)
                    let path = try looks.dataplane.path(for: query)
                    #expect(path.ifindex == near.index && path.device == "x0")
                    let host = HostState(
                        configuration: HostConfiguration(), devices: DeviceTable(try looks.dataplane.devices()), claims: DeviceClaims(),
                        mechanism: .success(.tcx))
                    #expect(UnderlayRules.refusal(of: path, for: query, host: host) == nil)
                }
                #expect {
                    try looks.dataplane.path(for: UnderlayQuery(remote: [10, 7, 0, 2], device: "not-there-under-this-name"))
                } throws: {
                    ($0 as? Failure)?.reason == .destinationDown && ($0 as? Failure)?.message.contains("does not exist") == true
                }
            }
        }
    }
}

extension MatrixSuite {
    /// What few kernels have.
    @Suite("Interfaces of others' kinds")
    struct InterfaceSafetyTests {
        private let looks = Looks()

        @Test("Ports of bonds, teams and VRFs, and the adapters below VLANs")
        func portsOfOtherKinds() throws {
            for kind in ["bond", "team", "vrf table 7"] {
                let name = kind.prefix { $0 != " " }
                try looks.with("link add x0 type \(kind)\nlink set low0 down\nlink set low0 master x0\nlink add y0 type bridge") {
                    #expect(try looks.verdict("low0").text == "shared: is a port of \(name) x0")
                    guard name != "vrf" else { return }
                    // The uplink of guests' bridge.
                    try ip("link set x0 master y0\n")
                    #expect(try looks.verdict("low0").text == "never: is a port of \(name) x0, which is a port of bridge y0")
                    #expect(try looks.verdict("x0").text == "never: is a port of bridge y0")
                    try ip("link set x0 nomaster\n")
                    try ip("link add link x0 name z0 type macvlan\n")
                    #expect(try looks.verdict("x0").text.hasPrefix("never: is the adapter below z0 (macvlan)"))
                    #expect(
                        try looks.verdict("low0").text.hasPrefix("never: is a port of \(name) x0, which is the adapter below z0 (macvlan)"))
                }
            }
            try looks.with("link add link low0 name x0 type vlan id 7\nlink add y0 type bridge") {
                #expect(try looks.verdict("low0").text == "shared: is the device below x0 (vlan)")
                #expect(try looks.verdict().text == "shared: is a vlan device, by which copies leave at low0")
                #expect(try looks.verdict("low1").text == "")
                try ip("link set x0 master y0\n")
                #expect(try looks.verdict("low0").text == "never: is the device below x0, which is a port of bridge y0")
                #expect(
                    try looks.verdict("low1").text
                        == "never: leads to its other end, low0, which is the device below x0, which is a port of bridge y0")
            }
        }
    }
}

/// Devices that are made, looked at and removed.
private struct Looks {
    let dataplane = KernelDataplane(bpffs: "/sys/fs/bpf")

    func with(_ commands: String, _ body: () throws -> Void) throws {
        defer { for device in ["x0", "low0", "y0"] { _ = try? run("ip", "link", "del", device) } }
        try ip("link add low0 up type veth peer name low1\nlink set low1 up\n")
        try ip(commands + "\n")
        try body()
    }

    func verdict(_ name: String = "x0") throws -> (verdict: InterfaceSafety.Verdict, text: String) {
        let table = DeviceTable(try dataplane.devices())
        let host = HostState(configuration: HostConfiguration(), devices: table, claims: DeviceClaims(), mechanism: .success(.tcx))
        let verdict = InterfaceSafety.verdict(on: try #require(table.device(called: name)), host: host)
        return switch verdict {
        case .safe: (verdict, "")
        case .shared(let why): (verdict, "shared: \(why)")
        case .never(let why): (verdict, "never: \(why)")
        }
    }
}
