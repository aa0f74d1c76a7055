// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@testable import TapCommands

@Suite("Status with the daemon down")
struct StatusWithoutDaemonTests {
    private func observed(
        _ domain: String, ifindex: UInt32, hooks: [Direction: ObservedAttachment.Hook], tap: String = "ids"
    ) -> ObservedAttachment {
        let desired = DesiredAttachment(
            key: AttachmentKey(domain: Samples.uuid, origin: .domain, tap: Samples.name(tap), ifindex: ifindex), domainName: domain,
            interface: AttachedInterface(
                alias: "net\(ifindex)", mac: MACAddress("52:54:00:00:00:01")!, type: .bridge, device: "vnet\(ifindex)", isMacvtap: false),
            destinationKind: .interface, options: CopyOptions(direction: .both, destination: "ids", mark: PacketMark()), mechanism: .tcx)
        return ObservedAttachment(
            id: desired.key.id, spec: AttachmentSpec(desired, since: Timestamp(seconds: 9), build: "b"), hooks: hooks, isCurrentBuild: true)
    }

    private let attached = ObservedAttachment.Hook.attached(position: 0, foreignAhead: 0)

    private func document(_ attachments: [ObservedAttachment], destination: UInt32 = 50, devices: DeviceTable? = nil) -> StatusDocument {
        var kernel = KernelView()
        for attachment in attachments {
            kernel.attachments[attachment.id] = attachment
            kernel.counters[attachment.id] = [
                .inbound: DirectionCounters(copied: Counter(packets: 2, bytes: 128)), .outbound: DirectionCounters(),
            ]
        }
        kernel.destinations = [
            DestinationRecord(label: "ids", kind: .interface, ifindex: destination, sent: Counter(packets: 2, bytes: 128))
        ]
        return .withoutDaemon(
            host: .init(name: "h", kernel: "k", libvirt: nil), configPath: "/c", hookInstalled: true, kernel: kernel, devices: devices)
    }

    @Test("What the pins carry is shown, the rest is null")
    func active() throws {
        let document = document([
            observed("web1", ifindex: 1, hooks: [.inbound: attached, .outbound: attached]),
            observed("web1", ifindex: 2, hooks: [.inbound: attached, .outbound: attached]),
        ])
        #expect(!document.daemon.running && document.hook.installed && document.config.path == "/c")
        let tap = try #require(document.taps.first)
        #expect(document.taps.count == 1 && tap.interfaces.map(\.device) == ["vnet1", "vnet2"])
        #expect(tap.state == .active && tap.definition == nil && tap.running == nil && tap.required == nil && tap.domain == "web1")
        #expect(tap.interfaces[0].inbound?.copied.packets == 2 && tap.interfaces[0].since == Timestamp(seconds: 9))
        #expect(document.destinations.map(\.state) == [.active] && document.destinations[0].sent.packets == 2)
    }

    @Test("A program that somebody removed is told, dead pins are not")
    func broken() {
        let document = document([
            observed("web1", ifindex: 1, hooks: [.inbound: attached, .outbound: .detached]),
            observed("web1", ifindex: 2, hooks: [.inbound: attached, .outbound: attached]),
            observed("old", ifindex: 3, hooks: [.inbound: .deviceGone, .outbound: .deviceGone], tap: "x"),
        ])
        #expect(document.taps.map(\.domain) == ["web1"])
        #expect(document.taps[0].state == .degraded && document.taps[0].interfaces[0].reason == .attachFailed)
        #expect(document.taps[0].interfaces[0].message?.hasPrefix("outbound: somebody removed") == true)
    }

    @Test("A destination without a device, with a device that is gone, down, and up")
    func destinations() {
        let attachment = observed("web1", ifindex: 1, hooks: [.inbound: attached, .outbound: attached])
        func state(_ ifindex: UInt32, _ devices: [HostDevice]?) -> TapState {
            document([attachment], destination: ifindex, devices: devices.map { DeviceTable($0) }).taps[0].state
        }
        #expect(state(0, nil) == .failed)
        #expect(state(50, []) == .failed)
        #expect(state(50, [HostDevice(index: 50, name: "mon0", mac: nil, kind: .other("veth"), isUp: false)]) == .failed)
        #expect(state(50, [HostDevice(index: 50, name: "mon0", mac: nil, kind: .other("veth"))]) == .active)
    }
}
