// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import Testing

@Suite("Only devices that are the domain's")
struct OwnershipTests {
    /// - Parameters:
    ///   - others: domains that run, too.
    ///   - proved: those of them whose devices were found to be theirs before.
    private func reason(
        _ interface: DomainInterface, _ devices: [HostDevice], others: [DomainDefinition] = [], proved: [DomainDefinition] = []
    ) -> Reason? {
        let domain = Fixture.domain(interfaces: [interface])
        let host = Fixture.host(devices: devices, domains: others + [domain], proved: proved)
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
        var device = HostDevice(index: 10, name: "own0", mac: Fixture.mac.tapSide, kind: .tap, hasCarrier: false)
        let interface = Fixture.interface(type: .ethernet, device: "own0")
        #expect(reason(interface, [device]) == .deviceNotOwned)
        // Of one that is down the flags tell nothing, and the kernel does.
        device.isUp = false
        #expect(reason(interface, [device]) == nil)
        device.isOpen = false
        #expect(reason(interface, [device]) == .deviceNotOwned)
        device.isOpen = true
        #expect(reason(interface, [device]) == nil)
        // Of a macvtap nobody tells it.
        device = HostDevice(index: 10, name: "own0", mac: nil, kind: .macvtap, isUp: false, hasCarrier: false)
        #expect(reason(Fixture.interface(type: .direct, device: "own0"), [device]) == nil)
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

    /// Neither the address nor who came first decides.
    @Test func nobodyGetsWhatTwoDomainsName() {
        let mac = MACAddress("52:54:00:00:00:02")!
        let other = Fixture.domain([], interfaces: [Fixture.interface(mac: mac, device: "vnet5")], uuid: Fixture.otherUUID)
        for guest in [mac, Fixture.mac, MACAddress("52:54:00:99:99:99")!] {
            let vnet = Fixture.vnet(15, "vnet5", guest: guest)
            #expect(reason(Fixture.interface(device: "vnet5"), [vnet], others: [other]) == .deviceNotOwned)
            let host = Fixture.host(devices: [vnet], domains: [Fixture.domain(interfaces: [Fixture.interface(device: "vnet5")]), other])
            let its = DeviceOwnership.device(of: other.interfaces[0], in: other.uuid, devices: host.devices, claims: host.claims)
            guard case .failure(let failure) = its else {
                Issue.record("\(its)")
                continue
            }
            #expect(failure.reason == .deviceNotOwned && failure.message.contains("\(Fixture.uuid) names it as well"))
        }
    }

    @Test func whoeverHasItProvedKeepsIt() {
        let own = Fixture.domain(interfaces: [Fixture.interface()])
        // With all that can be forged.
        let twin = Fixture.domain([], interfaces: [Fixture.interface()], uuid: Fixture.otherUUID)
        #expect(reason(Fixture.interface(), [Fixture.vnet()], others: [twin], proved: [own]) == nil)
        #expect(reason(Fixture.interface(), [Fixture.vnet()], others: [twin], proved: [twin]) == .deviceNotOwned)
        // And nobody else gets it for himself.
        var claims = Fixture.host(domains: [own, twin], proved: [own]).claims
        claims.prove(Fixture.vnet(), is: twin.interfaces[0], of: twin.uuid)
        #expect(claims.owner(of: 10) == own.uuid)
        #expect(claims.others(than: twin.uuid, claiming: Fixture.vnet()) == [own.uuid])
        #expect(claims.others(than: own.uuid, claiming: Fixture.vnet()) == [])
    }

    @Test func namingAVictimsDeviceDoesNotEndItsTap() {
        let hostile = [
            Fixture.interface(mac: Fixture.mac, type: .user, device: "vnet0"),
            Fixture.interface(mac: nil, type: .ethernet, device: "vnet0"),
        ]
        let other = Fixture.domain([], interfaces: hostile, uuid: Fixture.otherUUID)
        #expect(reason(Fixture.interface(), [Fixture.vnet()], others: [other]) == nil)
    }

    @Test func deviceThatIsNotThere() {
        #expect(reason(Fixture.interface(), []) == .deviceGone)
        #expect(reason(Fixture.interface(device: nil), []) == .deviceGone)
        #expect(reason(Fixture.interface(mac: nil), [Fixture.vnet()]) == .deviceNotOwned)
    }

    // MARK: What was proved

    private let interface = Fixture.interface(device: "web1lan")
    private let proved = Fixture.vnet(10, "web1lan")

    private func claims(_ change: (inout DeviceClaims) -> Void = { _ in }) -> DeviceClaims {
        var claims = DeviceClaims()
        claims.set([interface], of: Fixture.uuid)
        claims.prove(proved, is: interface, of: Fixture.uuid)
        change(&claims)
        return claims
    }

    private func owned(_ devices: [HostDevice], _ claims: DeviceClaims, of domain: DomainUUID = Fixture.uuid) -> UInt32? {
        try? DeviceOwnership.device(of: interface, in: domain, devices: DeviceTable(devices), claims: claims).get().device.index
    }

    @Test func whatWasProvedIsFoundWhateverItIsLike() {
        #expect(owned([HostDevice(index: 10, name: "x", mac: nil, kind: .tap, isUp: false, hasCarrier: false)], claims()) == 10)
        // A new device with the old name is not the domain's while the proved one lives,
        let new = Fixture.vnet(11, "web1lan")
        let renamed = Fixture.vnet(10, "x")
        #expect(owned([renamed, new], claims()) == 10)
        // and is when that is gone, if it is plausible.
        let gone = claims { $0.forgetProofs(without: DeviceTable([new])) }
        #expect(owned([new], gone) == 11)
        #expect(owned([HostDevice(index: 11, name: "web1lan", mac: nil, kind: .tap, hasCarrier: false)], gone) == nil)
        #expect(owned([HostDevice(index: 11, name: "web1lan", mac: nil, kind: .bridge)], gone) == nil)
    }

    /// A domain from the same template starts when the name is free again.
    @Test func aDeviceWithTheOldNameIsItsOwnDomains() {
        let new = Fixture.vnet(11, "web1lan")
        let both = claims { $0.set([interface], of: Fixture.otherUUID) }
        #expect(owned([Fixture.vnet(10, "x"), new], both, of: Fixture.otherUUID) == 11)
        #expect(owned([Fixture.vnet(10, "x"), new], both) == 10)
        // The renamed one is nobody else's, whoever names it so.
        let thief = Fixture.interface(device: "x")
        let stolen = claims { $0.set([thief], of: Fixture.otherUUID) }
        let result = DeviceOwnership.device(
            of: thief, in: Fixture.otherUUID, devices: DeviceTable([Fixture.vnet(10, "x")]), claims: stolen)
        guard case .failure(let failure) = result else {
            Issue.record("\(result)")
            return
        }
        #expect(failure.message.contains("was found to be the device of the running domain with UUID \(Fixture.uuid)"))
        var directory = DomainDirectory()
        directory[Fixture.uuid] = DomainDirectory.Entry(name: "web1", interfaces: [])
        let named = DeviceOwnership.device(
            of: thief, in: Fixture.otherUUID, devices: DeviceTable([Fixture.vnet(10, "x")]), claims: stolen, directory: directory)
        #expect("\(named)".contains("the device of the running domain web1 (UUID \(Fixture.uuid))"))
    }

    /// Numbers are given anew, after a wrap, or since somebody asked for one.
    @Test func aProofDoesNotOutliveItsDevice() {
        let other = HostDevice(index: 10, name: "eth7", mac: nil, kind: .other("veth"))
        #expect(owned([other], claims()) == nil)
        #expect(claims { $0.forgetProofs(without: DeviceTable([other])) }.owner(of: 10) == nil)
        #expect(claims { $0.forgetProofs(without: DeviceTable([Fixture.vnet(10, "x")])) }.owner(of: 10) == Fixture.uuid)
        // The kernel side saw that it was gone.
        var isForgotten = false
        let dead = claims { isForgotten = $0.forgetProof(of: 10, in: Fixture.uuid) }
        #expect(isForgotten)
        #expect(owned([Fixture.vnet(10, "x")], dead) == nil)
        let kept = claims { isForgotten = $0.forgetProof(of: 10, in: Fixture.otherUUID) }
        #expect(!isForgotten && kept.owner(of: 10) == Fixture.uuid)
    }

    /// As of a sensor's device that is looked for anew.
    @Test func aNewProofEndsTheOneBeforeIt() {
        let new = Fixture.vnet(11, "web1lan")
        let claims = claims { $0.prove(new, is: interface, of: Fixture.uuid) }
        #expect(claims.owner(of: 11) == Fixture.uuid)
        #expect(claims.owner(of: 10) == nil)
        // It may be given to another guest's.
        #expect(claims.others(than: Fixture.otherUUID, claiming: Fixture.vnet(10, "vnet9")).isEmpty)
    }

    @Test func claimsAndProofsEndWithTheDomain() {
        var heirs: Set<DomainUUID> = []
        let ended = claims {
            $0.set([interface], of: Fixture.otherUUID)
            heirs = $0.set([], of: Fixture.uuid)
        }
        #expect(heirs == [Fixture.otherUUID])
        #expect(ended.owner(of: 10) == nil)
        // What it has given up it gets no more, however late somebody looks.
        var late = ended
        late.prove(proved, is: interface, of: Fixture.uuid)
        #expect(late.owner(of: 10) == nil)
        #expect(owned([proved], ended, of: Fixture.otherUUID) == 10)
        // An interface that was unplugged has no device any more; the others keep theirs.
        let second = Fixture.interface("net1", mac: MACAddress("52:54:00:00:00:02"), device: "web1wan")
        let unplugged = claims {
            $0.set([interface, second], of: Fixture.uuid)
            $0.prove(Fixture.vnet(12, "web1wan"), is: second, of: Fixture.uuid)
            $0.set([second], of: Fixture.uuid)
        }
        #expect(unplugged.owner(of: 10) == nil && unplugged.owner(of: 12) == Fixture.uuid)
    }

    // MARK: Remarks

    private func remark(_ change: (inout HostDevice) -> Void, in bridge: String? = nil) -> String? {
        var device = proved
        let attached = AttachedInterface(
            alias: "net0", mac: Fixture.mac, type: .bridge, device: "web1lan", isMacvtap: false, traits: DeviceTraits(device))
        change(&device)
        let warning = attached.remark(on: device, in: bridge)
        #expect(warning == nil || warning?.reason == .deviceChanged)
        return warning?.message
    }

    @Test func whatChangedIsSaid() {
        #expect(remark { _ in } == nil)
        #expect(
            remark { $0.name = "wan7" } == "web1lan: it is called wan7 now. It is the same device (ifindex 10), so it stays tapped")
        #expect(
            remark { $0.mac = MACAddress("02:11:22:33:44:55") }?.contains("is 02:11:22:33:44:55 now and was fe:54:00:00:00:01") == true)
        #expect(remark { $0.masterName = nil }?.contains("it is no port of br0 any more") == true)
        #expect(remark { $0.masterName = "br1" }?.contains("it is a port of br1 now and was one of br0") == true)
        // virsh update-device.
        #expect(remark({ $0.masterName = "br1" }, in: "br1") == nil)
        #expect(remark({ $0.masterName = "br2" }, in: "br1")?.contains("a port of br2 now") == true)
        #expect(remark({ $0.masterName = nil }, in: "br1")?.contains("it is no port of br1 any more") == true)
        #expect(remark { $0.isUp = false }?.contains("it is down: nothing passes it") == true)
        #expect(remark { $0.hasCarrier = false }?.contains("it has no carrier") == true)
        let all = remark {
            $0.name = "x"
            $0.isUp = false
        }
        #expect(all?.contains("it is called x now; it is down") == true)
    }

    /// What an earlier version pinned has no word of it, and an earlier version reads what this one pins.
    @Test func whatAnotherVersionPinnedIsRead() throws {
        let attached = AttachedInterface(alias: nil, mac: Fixture.mac, type: .bridge, device: "vnet0", isMacvtap: false)
        #expect(attached.remark(on: Fixture.vnet()) == nil)
        #expect(attached.remark(on: Fixture.vnet(10, "x"))?.message.contains("it is called x now") == true)
        let spec = AttachmentSpec(Fixture.desired()[0], since: Timestamp(seconds: 1_000), build: "b")
        #expect(spec.interface.traits == DeviceTraits(Fixture.vnet()))
        let json = try JSONEncoder().encode(spec)
        #expect(try JSONDecoder().decode(AttachmentSpec.self, from: json) == spec)
        var document = try #require(try JSONSerialization.jsonObject(with: json) as? [String: Any])
        var interface = try #require(document["interface"] as? [String: Any])
        #expect(interface.removeValue(forKey: "traits") != nil)
        document["interface"] = interface
        var former = spec
        former.interface.traits = nil
        #expect(try JSONDecoder().decode(AttachmentSpec.self, from: JSONSerialization.data(withJSONObject: document)) == former)
    }
}
