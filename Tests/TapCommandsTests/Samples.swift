// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

@testable import TapCommands

/// Made-up hosts, domains and documents.
enum Samples {
    static let uuid = DomainUUID(bytes: [UInt8](repeating: 0x11, count: 16))!
    static let otherUUID = DomainUUID(bytes: [UInt8](repeating: 0x22, count: 16))!

    static func name(_ text: String) -> TapName { TapName(text)! }

    static func interface(
        _ alias: String, device: String?, state: TapState = .active, reason: Reason? = nil, message: String? = nil,
        copied: Counter? = Counter(packets: 1_234, bytes: 2_000_000)
    ) -> InterfaceStatus {
        InterfaceStatus(
            alias: alias, mac: MACAddress("52:54:00:00:00:01"), device: device, ifindex: 7, type: .bridge, state: state, reason: reason,
            message: message, inbound: copied.map { DirectionCounters(copied: $0) }, outbound: copied.map { _ in DirectionCounters() })
    }

    static func tap(
        _ domain: String, uuid: DomainUUID = uuid, name: String = "ids", state: TapState = .active, reason: Reason? = nil,
        message: String? = nil, running: Bool? = true, interfaces: [InterfaceStatus] = [], warnings: [TapStatus.Warning] = []
    ) -> TapStatus {
        var tap = TapStatus(
            domain: domain, uuid: uuid, name: Samples.name(name), origin: .domain, definition: .both, destination: "ids", direction: .both,
            required: false, enabled: true, state: state, reason: reason, message: message, warnings: warnings, interfaces: interfaces)
        tap.running = running
        return tap
    }

    static func document(_ taps: [TapStatus], destinations: [DestinationStatus] = []) -> StatusDocument {
        StatusDocument(
            host: .init(name: "hv1", kernel: "6.18.44", libvirt: "9.0.0"),
            daemon: .init(
                running: true, version: virtTapVersion, pid: 4711, uri: "qemu:///system", connected: true,
                complete: true, since: Timestamp(seconds: 0),
                paused: false), hook: .init(installed: true, seen: nil),
            config: .init(path: "/etc/virt-tap/config.xml", loaded: Timestamp(seconds: 0), stale: false, message: nil), taps: taps,
            destinations: destinations)
    }

    static let configuration = HostConfiguration(destinations: [
        DestinationDefinition(name: name("ids"), target: .interface(name: "mon0", allowShared: false)),
        DestinationDefinition(name: name("span"), target: .interface(name: "mon1", allowShared: false)),
        DestinationDefinition(
            name: name("private"), target: .interface(name: "mon0", allowShared: false), allow: [.name("db-*")]),
        DestinationDefinition(name: name("bridge"), target: .interface(name: "br0", allowShared: false)),
        DestinationDefinition(name: name("far"), target: .tunnel(Tunnel(kind: .vxlan, remote: "192.0.2.10", identifier: 7))),
        DestinationDefinition(name: name("vm"), target: .domain(name: "sensor", uuid: nil, mac: nil, alias: "net0")),
    ])

    /// With mon0 and without mon1.
    static let host = HostState(
        configuration: configuration,
        devices: DeviceTable([
            HostDevice(index: 50, name: "mon0", mac: nil, kind: .other("veth")),
            HostDevice(index: 51, name: "br0", mac: nil, kind: .bridge),
        ]),
        claims: DeviceClaims(), mechanism: .success(.tcx), filters: filters)

    /// What a compiler would have said.
    static let filters: [String: Result<CompiledFilter, Failure>] = [
        "tcp": .success(CompiledFilter(expression: "tcp", instructions: [6])),
        "tpc": .failure(Failure(.invalidFilter, "libpcap does not accept the filter: syntax error")),
        "vlan": .failure(Failure(.attachFailed, "no process for it")),
    ]

    static func domainXML(_ metadata: String, name: String = "web1", live: Bool = true) -> [UInt8] {
        let device = live ? #"<target dev="vnet3"/><alias name="net0"/>"# : ""
        return Array(
            """
            <domain type="qemu"><name>\(name)</name><uuid>\(uuid)</uuid><metadata>\(metadata)</metadata>
            <devices><interface type="bridge"><mac address="52:54:00:00:00:01"/><source bridge="br0"/>\(device)</interface></devices></domain>
            """.utf8)
    }

    static func metadata(_ text: String) -> String {
        #"<v:taps xmlns:v="urn:virt-tap:1">"# + text + "</v:taps>"
    }
}
