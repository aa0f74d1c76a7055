// SPDX-License-Identifier: LGPL-2.1-or-later

import Testing

@testable import TapModel

/// Which devices copies may be sent to: by kind, by who uses them and by what they lead to.
@Suite("Interfaces that copies may be sent to")
struct InterfaceSafetyTests {
    /// Word for word, to compare.
    private enum Answer: Equatable {
        case safe, shared, never

        init(_ verdict: InterfaceSafety.Verdict) {
            switch verdict {
            case .safe: self = .safe
            case .shared: self = .shared
            case .never: self = .never
            }
        }
    }

    /// `mon0` of the kind, on `low0` or with the port `low0` where it needs one.
    private static func device(
        _ index: UInt32 = 20, _ name: String = "mon0", _ kind: HostDevice.Kind = .other("veth"),
        _ change: (inout HostDevice) -> Void = { _ in }
    ) -> HostDevice {
        var device = HostDevice(index: index, name: name, mac: nil, kind: kind)
        change(&device)
        return device
    }

    /// What copies to the first of the devices would do.
    private static func verdict(_ devices: [HostDevice], domains: [DomainDefinition] = []) -> InterfaceSafety.Verdict {
        InterfaceSafety.verdict(on: devices[0], host: Fixture.host(devices: devices, domains: domains))
    }

    private static func why(_ devices: [HostDevice]) -> String {
        switch verdict(devices) {
        case .safe: ""
        case .shared(let why): "shared: \(why)"
        case .never(let why): "never: \(why)"
        }
    }

    @Test(arguments: ["veth", "netkit", "dummy", ""])
    func kindsMadeForOneWhoListens(_ kind: String) { #expect(Self.verdict([Self.device(20, "mon0", .other(kind))]) == .safe) }

    @Test func aTapDeviceThatNoDomainHasYet() { #expect(Self.why([Self.device(20, "mon0", .tap)]).contains("<domain>")) }

    @Test(arguments: ["vlan", "macsec", "bond", "team", "hsr", "vxlan", "geneve", "gretap", "ip6gretap", "erspan", "ip6erspan", "dsa"])
    func kindsThatLeadToOtherMachines(_ kind: String) {
        let low = Self.device(21, "low0", .other("")) { if ["bond", "team", "hsr"].contains(kind) { $0.master = 20 } }
        let device = Self.device(20, "mon0", .other(kind)) { if kind == "vlan" || kind == "macsec" { $0.link = 21 } }
        #expect(Answer(Self.verdict([device, low])) == .shared)
    }

    @Test(arguments: [
        "ifb", "openvswitch", "batadv", "vrf", "macvlan", "ipvlan", "ipvtap", "nlmon", "vsockmon", "wireguard", "gre", "ppp", "can",
        "netdevsim", "made-up",
    ])
    func kindsThatDoHarmOrAreNotKnown(_ kind: String) { #expect(Answer(Self.verdict([Self.device(20, "mon0", .other(kind))])) == .never) }

    @Test(arguments: [HostDevice.Kind.bridge, .loopback, .macvtap, .tun])
    func kindsOfOurModelThatDoHarm(_ kind: HostDevice.Kind) { #expect(Answer(Self.verdict([Self.device(20, "mon0", kind)])) == .never) }

    @Test func whateverTakesNoEthernetFrames() {
        #expect(Self.why([Self.device(20, "ib0", .other("")) { $0.isEthernet = false }]) == "never: takes no Ethernet frames")
        #expect(Answer(Self.verdict([Self.device(20, "mon0", .other("veth")) { $0.isEthernet = false }])) == .never)
    }

    @Test func everySentenceFollowsTheDevicesName() {
        for (kind, effect) in InterfaceSafety.effects {
            if case .harms(let why) = effect { #expect(why.hasPrefix("is ") && !why.hasSuffix("."), "\(kind)") }
        }
    }

    /// An adapter whose wire others use.
    @Test func whoElseIsOnTheWire() {
        let nic = Self.device(20, "eth1", .other(""))
        #expect(Self.why([Self.device(20, "eth1", .other("")) { $0.hasAddress = true }]) == "shared: has an IP address")
        let vlan = Self.device(21, "eth1.7", .other("vlan")) { $0.link = 20 }
        #expect(Self.why([nic, vlan]) == "shared: is the device below eth1.7 (vlan)")
        let tunnel = Self.device(21, "gt0", .other("gretap")) { ($0.link, $0.masterKind, $0.masterName) = (20, "bridge", "br0") }
        #expect(Self.why([nic, tunnel]) == "shared: is the device below gt0 (gretap)")
        let bridged = Self.device(21, "eth1.7", .other("vlan")) { ($0.link, $0.masterKind, $0.masterName) = (20, "bridge", "br7") }
        #expect(Self.why([nic, bridged]) == "never: is the device below eth1.7, which is a port of bridge br7")
        for kind in [HostDevice.Kind.macvtap, .other("macvlan"), .other("ipvlan"), .other("ipvtap")] {
            let upper = Self.device(21, "up0", kind) { $0.link = 20 }
            #expect(
                Self.why([nic, upper]) == "never: is the adapter below up0 (\(kind.text)): copies would go out into that device's network")
        }
    }

    @Test(arguments: ["bridge", "openvswitch", "batadv", "made-up"])
    func portsOfWhatPassesFramesOn(_ kind: String) {
        #expect(Answer(Self.verdict([Self.device { ($0.master, $0.masterKind, $0.masterName) = (9, kind, "m0") }])) == .never)
    }

    @Test(arguments: ["bond", "team", "vrf", "hsr"])
    func portsOfWhatDoesNot(_ kind: String) {
        func port(_ master: HostDevice) -> [HostDevice] {
            [Self.device { ($0.master, $0.masterKind, $0.masterName) = (9, kind, "m0") }, master]
        }
        let master = Self.device(9, "m0", .other(kind))
        #expect(Self.why(port(master)) == "shared: is a port of \(kind) m0")
        // A bond that is the uplink of a bridge: the wire is the guests'.
        let uplink = Self.device(9, "m0", .other(kind)) { ($0.master, $0.masterKind, $0.masterName) = (3, "bridge", "br0") }
        #expect(Self.why(port(uplink)) == "never: is a port of \(kind) m0, which is a port of bridge br0")
        // As an adapter's virtual function has one without a kind.
        let plain = [Self.device { ($0.master, $0.masterName) = (9, "m0") }, Self.device(9, "m0", .other(""))]
        #expect(Self.why(plain) == "shared: is a port of m0")
    }

    @Test func whatABondsPortsLeadTo() {
        let bond = Self.device(20, "bond0", .other("bond"))
        let port = Self.device(21, "eth1", .other("")) { ($0.master, $0.masterKind, $0.masterName) = (20, "bond", "bond0") }
        #expect(Self.why([bond, port]) == "shared: is a bond device, by which copies leave at its ports")
        let upper = Self.device(22, "mv0", .macvtap) { $0.link = 21 }
        #expect(
            Self.why([bond, port, upper])
                == "never: has the port eth1, which is the adapter below mv0 (macvtap): copies would go out into that device's network")
    }

    @Test func whatAVLANStandsOn() {
        let vlan = Self.device(20, "x.7", .other("vlan")) { $0.link = 21 }
        #expect(Answer(Self.verdict([vlan, Self.device(21, "br0", .bridge)])) == .never)
        #expect(Answer(Self.verdict([vlan, Self.device(21, "ifb0", .other("ifb"))])) == .never)
        #expect(Answer(Self.verdict([vlan, Self.device(21, "eth0", .other("")) { $0.hasAddress = true }])) == .shared)
        // In another namespace.
        #expect(Answer(Self.verdict([Self.device(20, "x.7", .other("vlan")) { $0.isLinkElsewhere = true }])) == .never)
        // A circle that no kernel makes.
        let below = Self.device(21, "x.8", .other("vlan")) { $0.link = 20 }
        #expect(Answer(Self.verdict([vlan, below])) == .shared)
    }

    /// What is sent to the one comes in by the other.
    @Test(arguments: ["veth", "netkit"])
    func theOtherEndOfAPair(_ kind: String) {
        let near = Self.device(20, "mon0", .other(kind)) { $0.link = 21 }
        func far(_ change: (inout HostDevice) -> Void = { _ in }) -> HostDevice {
            Self.device(21, "mon1", .other(kind)) {
                $0.link = 20
                change(&$0)
            }
        }
        #expect(Self.verdict([near, far()]) == .safe)
        #expect(Self.verdict([near, far { $0.hasAddress = true }]) == .safe)
        #expect(
            Self.why([near, far { ($0.masterKind, $0.masterName) = ("bridge", "br0") }])
                == "never: leads to its other end, mon1, which is a port of bridge br0")
        let ovs = far { ($0.masterKind, $0.masterName) = ("openvswitch", "ovs-system") }
        #expect(Self.why([near, ovs]) == "never: leads to its other end, mon1, which is a port of Open vSwitch")
        #expect(Answer(Self.verdict([near, far(), Self.device(22, "mv0", .macvtap) { $0.link = 21 }])) == .never)
        // A sensor may listen to one VLAN, or to several pairs at once.
        let vlan = Self.device(22, "mon1.7", .other("vlan")) { $0.link = 21 }
        #expect(Self.verdict([near, far(), vlan]) == .safe)
        let bond = Self.device(22, "bond0", .other("bond"))
        #expect(Self.verdict([near, far { ($0.master, $0.masterKind) = (22, "bond") }, bond]) == .safe)
        let bridged = Self.device(22, "mon1.7", .other("vlan")) { ($0.link, $0.masterKind, $0.masterName) = (21, "bridge", "br0") }
        #expect(Answer(Self.verdict([near, far(), bridged])) == .never)
    }

    @Test func whereSensorsListenAtAMonitorPort() {
        let listener = Self.device(20, "span0", .other("veth")) { $0.link = 21 }
        let own = Self.device(21, "virttap-span0", .other("veth")) { $0.link = 20 }
        #expect(Self.why([listener, own]).contains("<monitor>") && Answer(Self.verdict([listener, own])) == .never)
        #expect(Answer(Self.verdict([own, listener])) == .never)
    }

    @Test func portsOfASwitchInHardware() {
        func port(_ name: String) -> InterfaceSafety.Verdict {
            Self.verdict([Self.device(20, "eth1", .other("")) { $0.switchPort = name }])
        }
        for name in ["", "p0"] { #expect(Answer(port(name)) == .shared) }
        for name in ["pf0vf3", "c1pf0vf3", "pf0sf88"] { #expect(Answer(port(name)) == .never) }
    }

    @Test func guestsDevices() {
        let mac = MACAddress("52:54:00:00:00:07")!
        var vnet = Fixture.vnet(30, "vnet7", guest: mac)
        vnet.masterKind = nil
        let owner = Fixture.domain([], interfaces: [Fixture.interface(mac: mac, device: "vnet7")], uuid: Fixture.otherUUID, name: "db1")
        #expect(Self.why([vnet]).contains("may become one's"))
        #expect(Self.verdict([vnet], domains: [owner]) == .never("is the device of a running domain"))
    }

    @Test func thisHostsStackAtTheOtherEnd() throws {
        let near = Self.device(20, "mon0") { $0.link = 21 }
        func remark(_ change: (inout HostDevice) -> Void) -> TapStatus.Warning? {
            let far = Self.device(21, "mon1") {
                ($0.link, $0.hasARP, $0.hasIPv6, $0.takesAnySource) = (20, false, false, false)
                change(&$0)
            }
            let status = DestinationStatus(Fixture.configuration().destinations[0], on: Fixture.host(devices: [near, far]))
            #expect(status.state == .active && status.routeWarnings == status.warnings)
            return status.warnings.first
        }
        #expect(remark { _ in } == nil)
        let all = try #require(
            remark {
                ($0.hasARP, $0.hasIPv6) = (true, true)
                // The second comes and goes with IPv6.
                $0.addresses = [
                    DeviceAddress([192, 0, 2, 7], prefixLength: 24)!, DeviceAddress(IPAddress.bytes("fe80::1")!, prefixLength: 64)!,
                ]
            })
        #expect(all.reason == .hostListens)
        #expect(
            all.message
                == "mon1, the other end of mon0, is in this host's own network namespace: ARP is on, IPv6 is on and it has the address "
                + "192.0.2.7/24, so the host takes copies for packets to itself and may answer them. Run `ip link set dev mon1 arp off`, "
                + "`sysctl -w net.ipv6.conf.mon1.disable_ipv6=1` and `ip address flush dev mon1`, or use a <monitor> in place of the pair")
        #expect(
            remark { $0.takesAnySource = true }?.message.hasSuffix(
                ": it takes IPv4 packets from any source that are sent to its MAC address, so the host takes copies for packets to itself "
                    + "and may answer them. Run `sysctl -w net.ipv4.conf.mon1.rp_filter=1`, or use a <monitor> in place of the pair")
                == true)
        // Where the setting of all devices is 2, the device's own changes nothing.
        #expect(
            remark { ($0.takesAnySource, $0.isSourceCheckOverruled) = (true, true) }?.message.contains(
                "Run `sysctl -w net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.mon1.rp_filter=1`, or") == true)
        #expect(remark { $0.hasIPv6 = true }?.message.contains("namespace: IPv6 is on, so the host") == true)
        #expect(
            remark { ($0.hasIPv6, $0.name) = (true, "mon.1") }?.message.contains("`sysctl -w net/ipv6/conf/mon.1/disable_ipv6=1`") == true)
        // Of one in a container nothing is known.
        let gone = Fixture.span { $0.isLinkElsewhere = true }
        #expect(DestinationStatus(Fixture.configuration().destinations[0], on: Fixture.host(devices: [gone])).warnings.isEmpty)
    }
}
