// SPDX-License-Identifier: LGPL-2.1-or-later

import Testing

@testable import TapModel

@Suite("Frames with the mark of copies that are none")
struct MarkWatchTests {
    private let desired = Fixture.desired()[0]

    private func counters(_ inbound: UInt64, _ outbound: UInt64 = 0) -> [Direction: DirectionCounters] {
        [
            .inbound: DirectionCounters(marked: Counter(packets: inbound, bytes: inbound * 60)),
            .outbound: DirectionCounters(marked: Counter(packets: outbound, bytes: outbound * 60)),
        ]
    }

    private func at(_ seconds: Int64) -> Timestamp { Timestamp(seconds: seconds) }

    @Test("Growth is counted from the first frame, and ends ten minutes after the last")
    func growth() {
        var watch = MarkWatch()
        let id = desired.key.id
        func note(_ count: UInt64, _ time: Int64, isNew: Bool = false, mark: PacketMark = PacketMark()) {
            watch.note(id, mark, counters(count), isNew: isNew, at: at(time))
        }
        // What a daemon before this one saw may be old.
        note(1_000, 0)
        #expect(watch.growth(of: id) == [:])
        note(1_005, 60)
        note(1_005, 120)
        note(1_007, 180)
        #expect(watch.growth(of: id) == [.inbound: MarkWatch.Growth(packets: 7, since: at(60))])
        note(1_007, 180 + MarkWatch.patience)
        #expect(watch.growth(of: id) != [:])
        note(1_007, 181 + MarkWatch.patience)
        #expect(watch.growth(of: id) == [:])
        note(1_008, 2_000)
        #expect(watch.growth(of: id) == [.inbound: MarkWatch.Growth(packets: 1, since: at(2_000))])
        // Another mark, or counters that began anew: another matter.
        note(1_009, 2_001, mark: PacketMark(value: 0x2000, mask: 0x2000))
        #expect(watch.growth(of: id) == [:])
        note(3, 2_002, mark: PacketMark(value: 0x2000, mask: 0x2000))
        #expect(watch.growth(of: id) == [:])
        note(4, 2_003, mark: PacketMark(value: 0x2000, mask: 0x2000))
        #expect(watch.growth(of: id)[.inbound]?.packets == 1)
        watch.keep([])
        #expect(watch.growth(of: id) == [:])
        note(5, 3_000, isNew: true)
        #expect(watch.growth(of: id)[.inbound]?.packets == 5)
    }

    // MARK: Where copies can come

    private static let guest = Fixture.vnet(10, "vnet0")
    private static let other = Fixture.vnet(11, "vnet1")

    private static func device(
        _ index: UInt32, _ name: String, _ kind: HostDevice.Kind, link: UInt32? = nil, elsewhere: Bool = false, master: String? = nil,
        _ masterKind: String = "bridge"
    ) -> HostDevice {
        var device = HostDevice(index: index, name: name, mac: nil, kind: kind)
        (device.link, device.isLinkElsewhere, device.masterName) = (link, elsewhere, master)
        device.masterKind = master == nil ? nil : masterKind
        device.master = master.flatMap { bridges[$0] }
        return device
    }

    private static func port(_ device: HostDevice, of bridge: String) -> HostDevice {
        var device = device
        (device.masterName, device.masterKind, device.master) = (bridge, "bridge", bridges[bridge])
        return device
    }

    /// What the tests' ports are ports of.
    private static let bridges: [String: UInt32] = ["br0": 5, "br1": 6, "bond0": 7]

    private func isPossible(
        _ devices: [HostDevice], to ifindex: UInt32, _ direction: Direction = .inbound, of kind: DestinationTarget.Kind = .interface,
        copies: DestinationTarget.Kind = .interface
    ) -> Bool {
        CopyArrival.isPossible(
            at: 10, direction, of: kind, destinations: [DestinationRecord(label: "x", kind: copies, ifindex: ifindex)],
            devices: DeviceTable(devices))
    }

    @Test("A device that leads nowhere, out of the host, or into another namespace: none")
    func impossible() {
        let bridge = Self.device(5, "br0", .bridge)
        let guest = Self.port(Self.guest, of: "br0")
        #expect(!isPossible([guest, bridge], to: 0))
        #expect(!isPossible([guest, bridge, Self.device(20, "span0", .other("dummy"))], to: 20))
        #expect(!isPossible([guest, bridge, Self.device(20, "ens4", .other(""))], to: 20))
        #expect(!isPossible([guest, bridge, Self.device(20, "mon0", .other("veth"), elsewhere: true)], to: 20))
        let mon0 = Self.device(20, "mon0", .other("veth"), link: 21)
        #expect(!isPossible([guest, bridge, mon0, Self.device(21, "mon1", .other("veth"), link: 20)], to: 20))
        // Another guest's device, and a bridge that the guest is not at.
        #expect(!isPossible([guest, bridge, Self.port(Self.other, of: "br0")], to: 11, copies: .domain))
        #expect(!isPossible([guest, bridge, Self.device(6, "br1", .bridge), Self.port(Self.other, of: "br1")], to: 6))
        for kind in ["bond", "team", "hsr"] {
            let port = Self.device(20, "ens4", .other(""), master: "bond0", kind)
            #expect(!isPossible([guest, bridge, Self.device(7, "bond0", .other(kind)), port], to: 7), "\(kind)")
        }
        let adapter = Self.device(20, "ens4", .other(""))
        #expect(!isPossible([guest, bridge, adapter, Self.device(22, "sec0", .other("macsec"), link: 20)], to: 22))
        #expect(!isPossible([guest, bridge, Self.device(20, "nk0", .other("netkit"), elsewhere: true)], to: 20))
        // At a monitor port no bridge sees a frame, even where somebody made it a port.
        let span0 = Self.device(21, "span0", .other("veth"), link: 20, master: "br0")
        let port = [Self.device(20, "virttap-span0", .other("veth"), link: 21), span0]
        #expect(!isPossible([guest, bridge] + port, to: 20, copies: .monitor))
        #expect(isPossible([guest, bridge] + port, to: 20), "of any other pair a bridge does")
        // What the guest sends begins at its device, whatever comes to it.
        #expect(!isPossible([guest, bridge], to: 5, .outbound))
    }

    @Test("Itself, its bridge, a pair or VLAN that leads there, the underlay's bridge, what is not known: some")
    func possible() {
        let bridge = Self.device(5, "br0", .bridge)
        let guest = Self.port(Self.guest, of: "br0")
        #expect(isPossible([guest, bridge], to: 10, copies: .domain))
        #expect(isPossible([guest, bridge], to: 5, copies: .vxlan))
        let mon0 = Self.device(20, "mon0", .other("veth"), link: 21)
        let mon1 = Self.device(21, "mon1", .other("veth"), link: 20, master: "br0")
        #expect(isPossible([guest, bridge, mon0, mon1], to: 20))
        let tagged = [
            Self.device(21, "mon1", .other("veth"), link: 20), Self.device(22, "mon1.7", .other("vlan"), link: 21, master: "br0"),
        ]
        #expect(isPossible([guest, bridge, mon0] + tagged, to: 20))
        #expect(isPossible([guest, bridge, mon0], to: 20), "its other end is not known")
        let port = Self.device(21, "mon1", .other("veth"), link: 20, master: "ovs-system", "openvswitch")
        #expect(isPossible([guest, bridge, mon0, port], to: 20))
        #expect(isPossible([guest, bridge, Self.device(20, "gre1", .other("gretap"))], to: 20))
        #expect(isPossible([guest], to: 99), "the device is not known")
        // A bond, team or HSR of pairs, the underlay's own encryption, netkit.
        for kind in ["bond", "team", "hsr"] {
            let port = Self.device(20, "mon0", .other("veth"), link: 21, master: "bond0", kind)
            #expect(isPossible([guest, bridge, Self.device(7, "bond0", .other(kind)), port, mon1], to: 7), "\(kind)")
        }
        #expect(isPossible([guest, bridge, mon0, mon1, Self.device(22, "sec0", .other("macsec"), link: 20)], to: 22))
        let kit = [Self.device(20, "nk0", .other("netkit"), link: 21), Self.device(21, "nk1", .other("netkit"), link: 20, master: "br0")]
        #expect(isPossible([guest, bridge] + kit, to: 20))
        // A tap to another machine counts its tunnel's own packets as well.
        #expect(isPossible([guest, bridge], to: 0, .outbound, of: .vxlan))
    }

    @Test("Macvtap devices of one adapter reach one another")
    func macvtap() {
        let adapter = Self.device(3, "ens4", .other(""))
        let guest = Self.device(10, "macvtap0", .macvtap, link: 3)
        let other = Self.device(11, "macvtap1", .macvtap, link: 3)
        #expect(isPossible([adapter, guest, other], to: 11))
        // Into a sensor VM's they go as if they came in by it.
        #expect(!isPossible([adapter, guest, other], to: 11, copies: .domain))
        #expect(isPossible([adapter, guest, other], to: 10, copies: .domain))
        #expect(!isPossible([adapter, guest, other], to: 3))
    }

    @Test("The tap stays active, and says how many, since when, and what to do; nothing where copies may be it")
    func warning() throws {
        let host = Fixture.host()
        var kernel = KernelView(
            attachments: [desired.key.id: Fixture.observed(desired)],
            destinations: [DestinationRecord(label: "span", kind: .interface, ifindex: 20)])
        kernel.marks.note(desired.key.id, PacketMark(), counters(0), isNew: true, at: at(0))
        kernel.marks.note(desired.key.id, PacketMark(), counters(5, 1), isNew: true, at: at(60))
        func warnings(_ devices: [HostDevice]) -> [TapStatus.Warning] {
            let builder = TapStatusBuilder(hostWarnings: [], kernel: kernel, devices: DeviceTable(devices))
            let verdicts = TapEvaluation.evaluate(Fixture.domain(), on: host)
            return verdicts.compactMap(builder.foreignMarks)
        }
        let far = Self.device(20, "mon0", .other("veth"), elsewhere: true)
        let warning = try #require(warnings([Self.guest, far]).first)
        #expect(warning.reason == .foreignMark)
        #expect(
            warning.message.hasPrefix("5 frames to the guest and 1 frame from the guest (vnet0, since 1970-01-01T00:01:00Z) had the mark"))
        #expect(warning.message.contains("comes there. Something else marks them: "))
        #expect(warning.message.contains("0x56001014/0x7f00107f") && warning.message.contains("`virt-tap doctor`"))
        kernel.destinations[0].ifindex = 10
        kernel.destinations[0].kind = .domain
        #expect(warnings([Self.guest, far]).first?.message.hasPrefix("1 frame from the guest (") == true)
    }
}
