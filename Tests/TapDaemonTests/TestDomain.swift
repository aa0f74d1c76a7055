// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// A domain with one interface, as libvirt and the kernel would show it.
struct TestDomain: Sendable {
    let number: Int
    var name: String { "web\(number)" }
    var uuid: DomainUUID { DomainUUID("00000000-0000-4000-8000-00000000000\(number)")! }
    var device: String { "vnet\(number)" }
    private var mac: String { "52:54:00:00:00:0\(number)" }

    init(_ number: Int) { self.number = number }

    /// Its live XML; `taps` goes into the metadata.
    func xml(_ taps: String, device: String? = nil, number other: Int? = nil) -> [UInt8] {
        let mac = other.map { "52:54:00:00:00:0\($0)" } ?? mac
        return Array(
            """
            <domain type='qemu' id='\(number)'><name>\(name)</name><uuid>\(uuid)</uuid>
            <metadata><v:taps xmlns:v='urn:virt-tap:1'>\(taps)</v:taps></metadata>
            <devices><interface type='bridge'><mac address='\(mac)'/><source bridge='br0'/>
            <target dev='\(device ?? self.device)'/><alias name='net0'/></interface></devices></domain>
            """.utf8)
    }

    func running(_ taps: String = tap, device: String? = nil, number other: Int? = nil) -> DomainSnapshot {
        DomainSnapshot(
            uuid: uuid, name: name, isRunning: true, isPersistent: true, liveXML: xml(taps, device: device, number: other),
            persistentXML: xml(taps))
    }

    func shutOff() -> DomainSnapshot {
        DomainSnapshot(uuid: uuid, name: name, isRunning: false, isPersistent: true, liveXML: [], persistentXML: xml(Self.tap))
    }

    /// The host's side of its interface.
    func netdev(_ index: UInt32) -> HostDevice {
        HostDevice(
            index: index, name: device, mac: MACAddress("fe:54:00:00:00:0\(number)"), kind: .tap, masterKind: "bridge", masterName: "br0")
    }

    static let tap = "<v:tap to='ids'/>"
}
