// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@Suite("Destinations that are sensor VMs")
struct SensorTests {
    private static let uuid = Fixture.otherUUID
    private static let macs = [MACAddress("52:54:00:00:00:07")!, MACAddress("52:54:00:00:00:08")!]

    private static func sensor(_ interfaces: [DomainInterface]? = nil) -> DomainDefinition {
        let interfaces = interfaces ?? [Fixture.interface("net0", mac: macs[0], device: "vnet7")]
        return Fixture.domain([], interfaces: interfaces, uuid: uuid, name: "sensor")
    }

    private static func host(
        _ sensors: [DomainDefinition] = [sensor()], devices: [HostDevice] = [Fixture.vnet(30, "vnet7", guest: macs[0])],
        _ change: (inout HostState) -> Void = { _ in }
    ) -> HostState {
        var host = Fixture.host(devices: [Fixture.vnet()] + devices, domains: [Fixture.domain()] + sensors)
        change(&host)
        return host
    }

    private static func verdict(
        name: String? = "sensor", uuid: DomainUUID? = nil, mac: MACAddress? = macs[0], alias: String? = nil, _ host: HostState = host()
    ) throws -> DestinationVerdict {
        let definition = DestinationDefinition(name: TapName("ids")!, target: .domain(name: name, uuid: uuid, mac: mac, alias: alias))
        return try DestinationEvaluation.evaluate(definition, host: host).get()
    }

    @Test func itsDeviceIsFound() throws {
        for (name, uuid) in [("sensor", nil), (nil, Self.uuid), ("sensor", Self.uuid)] as [(String?, DomainUUID?)] {
            let verdict = try Self.verdict(name: name, uuid: uuid)
            #expect(verdict.device == .known(30) && verdict.failure == nil && !verdict.route.isReceiving && verdict.kind == .domain)
        }
    }

    @Test func nameAndUUIDMustBothMatch() throws {
        let nobody = DomainUUID("00000000-0000-4000-8000-000000000009")!
        for (name, uuid, why) in [
            ("sensor", nobody, "has the UUID \(Self.uuid)"), ("sensor", Fixture.uuid, "is called web1"),
            ("other", Self.uuid, "is called sensor"),
        ] {
            let verdict = try Self.verdict(name: name, uuid: uuid)
            #expect(verdict.failure?.reason == .destinationElsewhere && verdict.device == .nowhere)
            #expect(verdict.failure?.message.contains(why) == true)
        }
    }

    @Test func aNameThatIsNearlyRightIsNamed() throws {
        let host = Self.host()
        #expect(
            try Self.verdict(name: "sensro", host).failure?.message
                == "destination ids: the sensor VM sensro is not on this host; did you mean sensor? If not, bring it here, or send the copies "
                + "by a tunnel (<vxlan>)")
        // Another one of a series, one of another name, and one that is known by its UUID.
        for (name, uuid) in [("sensor2", nil), ("recorder", nil), ("sensro", DomainUUID("00000000-0000-4000-8000-000000000009"))] {
            #expect(try Self.verdict(name: name, uuid: uuid, host).failure?.message.contains("did you mean") == false, "\(name)")
        }
        #expect(try Self.verdict(name: "Sensor", host).failure?.message.contains("did you mean sensor?") == true)
    }

    @Test func oneOfSeveralInterfacesIsChosen() throws {
        let interfaces = [
            Fixture.interface("net0", mac: Self.macs[0], device: "vnet7"), Fixture.interface("net1", mac: Self.macs[1], device: "vnet8"),
        ]
        let host = Self.host(
            [Self.sensor(interfaces)],
            devices: [Fixture.vnet(30, "vnet7", guest: Self.macs[0]), Fixture.vnet(31, "vnet8", guest: Self.macs[1])])
        #expect(try Self.verdict(mac: Self.macs[1], host).device == .known(31))
        #expect(try Self.verdict(mac: nil, alias: "net1", host).device == .known(31))
        #expect(try Self.verdict(mac: Self.macs[0], alias: "net1", host).failure?.reason == .noMatchingInterface)
        let wrong = try Self.verdict(mac: nil, alias: "net9", host)
        #expect(wrong.device == .nowhere)
        #expect(
            wrong.failure?.message.contains("has net0 52:54:00:00:00:07, net1 52:54:00:00:00:08; alias=\"net9\" is not among them") == true)
        #expect(try Self.verdict(Self.host([Self.sensor([])])).failure?.message.contains("no network interface") == true)
    }

    @Test func theOnlyInterfaceNeedsNoChoice() throws {
        #expect(try Self.verdict(mac: nil).device == .known(30))
        #expect(try Self.verdict(name: nil, uuid: Self.uuid, mac: nil).device == .known(30))
        let both = [
            Fixture.interface("net0", mac: Self.macs[0], device: "vnet7"), Fixture.interface("net1", mac: Self.macs[1], device: "vnet8"),
        ]
        let several = try Self.verdict(mac: nil, Self.host([Self.sensor(both)]))
        #expect(several.device == .nowhere && several.failure?.reason == .noMatchingInterface)
        #expect(
            several.failure?.message
                == "destination ids: the sensor VM sensor has net0 52:54:00:00:00:07, net1 52:54:00:00:00:08, and the <domain> does not "
                + "say which takes the copies; add mac=\"…\" or alias=\"…\" to the <domain>")
        let none = try Self.verdict(mac: nil, Self.host([Self.sensor([])]))
        #expect(none.failure?.reason == .noMatchingInterface && none.failure?.message.contains("give it one") == true)
    }

    @Test func itsDeviceMustBeItsOwn() throws {
        let other = HostDevice(index: 30, name: "vnet7", mac: Self.macs[0].tapSide, kind: .bridge)
        #expect(try Self.verdict(Self.host(devices: [other])).failure?.reason == .deviceNotOwned)
        // Its address is its own business.
        #expect(try Self.verdict(Self.host(devices: [Fixture.vnet(30, "vnet7", guest: Self.macs[1])])).device == .known(30))
        let gone = try Self.verdict(Self.host(devices: []))
        #expect(gone.failure?.reason == .deviceGone && gone.device == .nowhere)
        var down = Fixture.vnet(30, "vnet7", guest: Self.macs[0])
        down.hasCarrier = false
        #expect(try Self.verdict(Self.host(devices: [down])).failure?.reason == .deviceNotOwned)
        // It was QEMU's: copies go there again when it is.
        let host = Self.host(devices: [down]) { $0.claims.prove(down, is: Self.sensor().interfaces[0], of: Self.uuid) }
        let verdict = try Self.verdict(host)
        #expect(verdict.failure?.reason == .destinationDown && verdict.device == .known(30))
        let user = Self.sensor([Fixture.interface("net0", mac: Self.macs[0], type: .user, device: nil)])
        #expect(try Self.verdict(Self.host([user])).failure?.reason == .interfaceTypeUnsupported)
    }

    /// Whatever it is called, and whoever else has got its name.
    @Test func itsDeviceIsGivenAnotherName() throws {
        var renamed = Fixture.vnet(30, "wan0", guest: Self.macs[0])
        let interface = Self.sensor().interfaces[0]
        for others in [[], [Fixture.vnet(31, "vnet7", guest: Self.macs[0])]] {
            let host = Self.host(devices: [renamed] + others) {
                $0.claims.prove(Fixture.vnet(30, "vnet7", guest: Self.macs[0]), is: interface, of: Self.uuid)
            }
            let verdict = try Self.verdict(host)
            #expect(verdict.device == .known(30) && verdict.failure == nil)
            // As before, copies for another destination do not go there.
            #expect(DestinationEvaluation.isGuests(renamed, host.claims))
        }
        renamed.isUp = false
        let host = Self.host(devices: [renamed]) {
            $0.claims.prove(Fixture.vnet(30, "vnet7", guest: Self.macs[0]), is: interface, of: Self.uuid)
        }
        #expect(try Self.verdict(host).failure?.reason == .destinationDown)
    }

    /// What goes to a macvtap device leaves the host.
    @Test func aMacvtapTakesCopiesAsReceived() throws {
        let sensor = Self.sensor([Fixture.interface("net0", mac: Self.macs[0], type: .direct, device: "macvtap0")])
        let device = HostDevice(index: 30, name: "macvtap0", mac: Self.macs[0], kind: .macvtap, hasCarrier: false)
        let verdict = try Self.verdict(Self.host([sensor], devices: [device]))
        #expect(verdict.device == .known(30) && verdict.route.isReceiving && verdict.failure == nil)
    }

    @Test func whereItDoesNotRun() throws {
        let off = try Self.verdict(Self.host { $0.directory[Self.uuid]?.interfaces = nil })
        #expect(off.failure?.reason == .destinationDown && off.device == .nowhere)
        let migrated = try Self.verdict(
            Self.host {
                $0.directory[Self.uuid]?.interfaces = nil
                $0.directory[Self.uuid]?.hasMigratedAway = true
            })
        #expect(migrated.failure?.reason == .destinationElsewhere && migrated.device == .nowhere)
        // In no list: no evidence, so what the kernel's map has stands.
        let absent = try Self.verdict(Self.host([]))
        #expect(absent.failure?.reason == .destinationElsewhere && absent.device == .unknown)
        let unknown = try Self.verdict(Self.host([]) { $0.directory.isComplete = false })
        #expect(unknown.failure?.reason == .libvirtDisconnected && unknown.failure?.state == .pending && unknown.device == .unknown)
    }

    @Test func aTapOfTheSensorsOwnInterfaceIsALoop() throws {
        let sensor = Fixture.domain(
            [Fixture.tap()], interfaces: [Fixture.interface("net0", mac: Self.macs[0], device: "vnet7")], uuid: Self.uuid, name: "sensor")
        var host = Self.host([sensor])
        host.configuration.destinations[0].target = .domain(name: "sensor", uuid: nil, mac: nil, alias: nil)
        guard case .evaluated(_, let interfaces) = TapEvaluation.evaluate(sensor, on: host)[0].outcome,
            case .refused(let failure) = interfaces[0].result
        else {
            Issue.record("not refused")
            return
        }
        #expect(failure.reason == .destinationLoop)
        // Another's tap goes there.
        #expect(TapEvaluation.evaluate(Fixture.domain(), on: host).flatMap(\.desired).map(\.destinationKind) == [.domain])
    }
}
