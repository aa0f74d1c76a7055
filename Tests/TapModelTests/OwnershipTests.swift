// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@Suite("Only devices that are the domain's")
struct OwnershipTests {
    /// - Parameter others: domains that ran before this one.
    private func reason(
        _ interface: DomainInterface, _ devices: [HostDevice], others: [DomainDefinition] = [], later: [DomainDefinition] = []
    ) -> Reason? {
        let domain = Fixture.domain(interfaces: [interface])
        let host = Fixture.host(devices: devices, domains: others + [domain] + later)
        switch DeviceOwnership.device(of: interface, in: Fixture.uuid, devices: host.devices, claims: host.claims) {
        case .success: return nil
        case .failure(let failure): return failure.reason
        }
    }

    @Test func libvirtsOwnTap() {
        #expect(reason(Fixture.interface(), [Fixture.vnet()]) == nil)
        #expect(reason(Fixture.interface(type: .network), [Fixture.vnet()]) == nil)
        #expect(reason(Fixture.interface(type: .ethernet), [Fixture.vnet()]) == nil)
    }

    /// udev, agents and network drivers give tap devices others; a guest with trustGuestRxFilters changes its macvtap's.
    @Test func anAddressIsNoCondition() {
        let changed = HostDevice(index: 10, name: "vnet0", mac: MACAddress("02:11:22:33:44:55"), kind: .tap)
        for type in [InterfaceType.bridge, .network, .ethernet] { #expect(reason(Fixture.interface(type: type), [changed]) == nil) }
        #expect(reason(Fixture.interface(), [HostDevice(index: 10, name: "vnet0", mac: Fixture.mac, kind: .tap)]) == nil)
        let macvtap = HostDevice(index: 11, name: "macvtap0", mac: MACAddress("52:54:00:99:99:99"), kind: .macvtap)
        #expect(reason(Fixture.interface(type: .direct, device: "macvtap0"), [macvtap]) == nil)
        #expect(reason(Fixture.interface(), [HostDevice(index: 5, name: "vnet0", mac: nil, kind: .tap)]) == nil)
    }

    /// What somebody made, and no guest has opened.
    @Test func aTapDeviceThatNobodyHolds() {
        var device = HostDevice(index: 10, name: "own0", mac: MACAddress("02:11:22:33:44:55"), kind: .tap, hasCarrier: false)
        let interface = Fixture.interface(type: .ethernet, device: "own0")
        #expect(reason(interface, [device]) == .deviceNotOwned)
        // That has no carrier whoever holds it.
        device.isUp = false
        #expect(reason(interface, [device]) == nil)
        // With the address that libvirt would give it the guest may have it closed for a moment.
        #expect(
            reason(Fixture.interface(), [HostDevice(index: 10, name: "vnet0", mac: Fixture.mac.tapSide, kind: .tap, hasCarrier: false)])
                == nil)
    }

    @Test func whatSomebodyWrote() {
        // <interface type="user"><target dev="eth0"/> stays in the live XML.
        let nic = HostDevice(index: 2, name: "eth0", mac: Fixture.mac, kind: .other(""))
        #expect(reason(Fixture.interface(type: .user, device: "eth0"), [nic]) == .interfaceTypeUnsupported)
        #expect(reason(Fixture.interface(type: .ethernet, device: "eth0"), [nic]) == .deviceNotOwned)
        let bridge = HostDevice(index: 3, name: "br0", mac: Fixture.vnet().mac, kind: .bridge)
        #expect(reason(Fixture.interface(device: "br0"), [bridge]) == .deviceNotOwned)
        let tun = HostDevice(index: 4, name: "tun0", mac: nil, kind: .tun)
        #expect(reason(Fixture.interface(device: "tun0"), [tun]) == .deviceNotOwned)
    }

    @Test func anotherDomainsDevice() {
        let mac = MACAddress("52:54:00:00:00:02")!
        let others = Fixture.domain([], interfaces: [Fixture.interface(mac: mac, device: "vnet5")], uuid: Fixture.otherUUID)
        let vnet = Fixture.vnet(15, "vnet5", guest: mac)
        // With our own address the device does not agree, whoever came first.
        #expect(reason(Fixture.interface(device: "vnet5"), [vnet], others: [others]) == .deviceNotOwned)
        #expect(reason(Fixture.interface(device: "vnet5"), [vnet], later: [others]) == .deviceNotOwned)
        // Where it agrees with neither, who came first has it.
        let strange = HostDevice(index: 15, name: "vnet5", mac: MACAddress("02:11:22:33:44:55"), kind: .tap)
        #expect(reason(Fixture.interface(device: "vnet5"), [strange], others: [others]) == .deviceNotOwned)
        #expect(reason(Fixture.interface(device: "vnet5"), [strange], later: [others]) == nil)
        // With the victim's address too: it was the victim's first.
        #expect(reason(Fixture.interface(mac: mac, device: "vnet5"), [vnet], others: [others]) == .deviceNotOwned)
    }

    @Test func namingAVictimsDeviceDoesNotEndItsTap() {
        let hostile = [
            Fixture.interface(mac: Fixture.mac, type: .user, device: "vnet0"),
            Fixture.interface(mac: MACAddress("52:54:00:00:00:99"), type: .ethernet, device: "vnet0"),
        ]
        let other = Fixture.domain([], interfaces: hostile, uuid: Fixture.otherUUID)
        #expect(reason(Fixture.interface(), [Fixture.vnet()], others: [other]) == nil)
        // Not even with all that can be forged, as long as it comes later.
        let forged = Fixture.domain([], interfaces: [Fixture.interface()], uuid: Fixture.otherUUID)
        #expect(reason(Fixture.interface(), [Fixture.vnet()], later: [forged]) == nil)
    }

    @Test func deviceThatIsNotThere() {
        #expect(reason(Fixture.interface(), []) == .deviceGone)
        #expect(reason(Fixture.interface(device: nil), []) == .deviceGone)
        #expect(reason(Fixture.interface(mac: nil), [Fixture.vnet()]) == .deviceNotOwned)
    }

    @Test func claimsEndWithTheDomain() {
        var claims = DeviceClaims()
        claims.set([Fixture.interface()], of: Fixture.otherUUID)
        #expect(claims.others(than: Fixture.uuid, claiming: Fixture.vnet(), isByAddress: true) == [Fixture.otherUUID])
        #expect(claims.others(than: Fixture.otherUUID, claiming: Fixture.vnet(), isByAddress: true) == [])
        claims.set([], of: Fixture.otherUUID)
        #expect(claims.others(than: Fixture.uuid, claiming: Fixture.vnet(), isByAddress: true) == [])
    }
}
