// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// A small host with one running domain, for tests to vary.
enum Fixture {
    static let uuid = DomainUUID("00000000-0000-4000-8000-000000000001")!
    static let otherUUID = DomainUUID("00000000-0000-4000-8000-000000000002")!
    static let mac = MACAddress("52:54:00:00:00:01")!

    static func interface(
        _ alias: String = "net0", mac: MACAddress? = Fixture.mac, type: InterfaceType = .bridge, device: String? = "vnet0",
        bridge: String? = "br0",
        network: String? = nil
    ) -> DomainInterface {
        DomainInterface(
            alias: alias, mac: mac, type: type, bridge: bridge, network: network, device: device, path: "/domain/devices/interface[1]")
    }

    static func tap(_ name: String = "ids", to destination: String = "span") -> Tap {
        Tap(name: TapName(name)!, destination: .named(TapName(destination)!))
    }

    static func domain(
        _ taps: [Tap] = [tap()], interfaces: [DomainInterface] = [interface()], uuid: DomainUUID = uuid, name: String = "web1"
    )
        -> DomainDefinition
    {
        DomainDefinition(uuid: uuid, name: name, interfaces: interfaces, taps: taps.map { .valid($0) })
    }

    /// libvirt's tap device for a guest's address.
    static func vnet(_ index: UInt32 = 10, _ name: String = "vnet0", guest: MACAddress = mac) -> HostDevice {
        HostDevice(
            index: index, name: name, mac: MACAddress(bytes: [0xFE] + guest.bytes[1...]), kind: .tap, masterKind: "bridge",
            masterName: "br0")
    }

    static func span(_ change: (inout HostDevice) -> Void = { _ in }) -> HostDevice {
        var device = HostDevice(index: 20, name: "mon0", mac: MACAddress("02:00:00:00:00:20"), kind: .other("veth"))
        change(&device)
        return device
    }

    static func configuration(_ change: (inout HostConfiguration) -> Void = { _ in }) -> HostConfiguration {
        var configuration = HostConfiguration(
            destinations: [DestinationDefinition(name: TapName("span")!, target: .interface(name: "mon0", allowShared: false))])
        change(&configuration)
        return configuration
    }

    /// - Parameter proved: those of the domains whose devices were found to be theirs before the others came.
    static func host(
        _ configuration: HostConfiguration = configuration(), devices: [HostDevice] = [vnet(), span()],
        domains: [DomainDefinition] = [domain()], proved: [DomainDefinition] = [],
        mechanism: Result<Mechanism, Failure> = .success(.tcx), isPaused: Bool = false
    ) -> HostState {
        var claims = DeviceClaims()
        var directory = DomainDirectory()
        for domain in domains {
            claims.set(domain.interfaces, of: domain.uuid)
            directory[domain.uuid] = DomainDirectory.Entry(name: domain.name, interfaces: domain.interfaces)
        }
        let table = DeviceTable(devices)
        for domain in proved {
            for interface in domain.interfaces {
                if let device = interface.device.flatMap({ table[$0] }) { claims.prove(device, is: interface, of: domain.uuid) }
            }
        }
        directory.isComplete = true
        return HostState(
            configuration: configuration, devices: table, claims: claims, directory: directory, mechanism: mechanism,
            isPaused: isPaused)
    }

    /// What the kernel holds after `desired` was attached.
    static func observed(_ desired: DesiredAttachment, hook: ObservedAttachment.Hook = .attached(position: 0, foreignAhead: 0))
        -> ObservedAttachment
    {
        let spec = AttachmentSpec(desired, since: Timestamp(seconds: 1_000), build: "b", inboundProgram: 1, outboundProgram: 2)
        let hooks = Dictionary(uniqueKeysWithValues: desired.options.direction.directions.map { ($0, hook) })
        return ObservedAttachment(id: desired.key.id, spec: spec, hooks: hooks, isCurrentBuild: true)
    }

    static func desired(_ domain: DomainDefinition = domain(), host: HostState = host()) -> [DesiredAttachment] {
        TapEvaluation.evaluate(domain, on: host).flatMap(\.desired)
    }
}
