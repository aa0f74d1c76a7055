// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@Suite("Only devices that are provably the domain's")
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

    @Test func addressThatBeginsWithFE() {
        let guest = MACAddress("fe:54:00:00:00:01")!
        let device = HostDevice(index: 10, name: "vnet0", mac: MACAddress("fa:54:00:00:00:01"), kind: .tap)
        #expect(reason(Fixture.interface(mac: guest), [device]) == nil)
        #expect(reason(Fixture.interface(mac: guest), [Fixture.vnet(guest: guest)]) == .deviceNotOwned)
    }

    @Test func whatSomebodyWrote() {
        // <interface type="user"><target dev="eth0"/> stays in the live XML.
        let nic = HostDevice(index: 2, name: "eth0", mac: Fixture.mac, kind: .other(""))
        #expect(reason(Fixture.interface(type: .user, device: "eth0"), [nic]) == .interfaceTypeUnsupported)
        #expect(reason(Fixture.interface(type: .ethernet, device: "eth0"), [nic]) == .deviceNotOwned)
        let bridge = HostDevice(index: 3, name: "br0", mac: Fixture.vnet().mac, kind: .bridge)
        #expect(reason(Fixture.interface(device: "br0"), [bridge]) == .deviceNotOwned)
        let anonymous = HostDevice(index: 5, name: "vnet0", mac: nil, kind: .tap)
        #expect(reason(Fixture.interface(), [anonymous]) == .deviceNotOwned)
        let tun = HostDevice(index: 4, name: "tun0", mac: nil, kind: .tun)
        #expect(reason(Fixture.interface(device: "tun0"), [tun]) == .deviceNotOwned)
    }

    @Test func aDeviceThatTheUserMadeIsToldHowToProveItself() throws {
        let made = HostDevice(index: 6, name: "own0", mac: MACAddress("02:00:00:00:00:09"), kind: .tap)
        let interface = Fixture.interface(type: .ethernet, device: "own0")
        let host = Fixture.host(devices: [made], domains: [Fixture.domain(interfaces: [interface])])
        let result = DeviceOwnership.device(of: interface, in: Fixture.uuid, devices: host.devices, claims: host.claims)
        guard case .failure(let failure) = result else { throw Failure(.attachFailed, "it is taken for the domain's") }
        #expect(failure.reason == .deviceNotOwned)
        #expect(failure.message.contains("ip link set own0 address \(Fixture.mac.tapSide)"))
    }

    @Test func anotherDomainsDevice() {
        let mac = MACAddress("52:54:00:00:00:02")!
        let others = Fixture.domain([], interfaces: [Fixture.interface(mac: mac, device: "vnet5")], uuid: Fixture.otherUUID)
        let vnet = Fixture.vnet(15, "vnet5", guest: mac)
        // With our own address: the device's does not agree.
        #expect(reason(Fixture.interface(device: "vnet5"), [vnet], others: [others]) == .deviceNotOwned)
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
        #expect(claims.others(than: Fixture.uuid, claiming: Fixture.vnet()) == [Fixture.otherUUID])
        #expect(claims.others(than: Fixture.otherUUID, claiming: Fixture.vnet()) == [])
        claims.set([], of: Fixture.otherUUID)
        #expect(claims.others(than: Fixture.uuid, claiming: Fixture.vnet()) == [])
    }
}
