// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@testable import TapXML

@Suite("A domain's XML")
struct DomainXMLTests {
    /// As libvirt 9.0.0 writes a running domain and gives it to the hook, shortened.
    static let live = """
        <domain type='qemu' id='3' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
          <name>web1</name>
          <uuid>d1dbdc68-15f1-4c11-9a7d-0b3d7c9f1c11</uuid>
          <metadata>
            <libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0">
              <libosinfo:os id="http://debian.org/debian/12"/>
            </libosinfo:libosinfo>
            <tap:taps xmlns:tap="urn:virt-tap:1">
              <tap:tap to="ids"/>
              <tap:tap name="broken" to="ids" direction="in" required="yes"/>
              <tap:tap name="far" snaplen="128"><tap:destination><tap:vxlan remote="192.0.2.10" vni="100"/></tap:destination></tap:tap>
            </tap:taps>
          </metadata>
          <devices>
            <disk type='file' device='disk'><source file='/x'/><target dev='vda' bus='virtio'/><alias name='virtio-disk0'/></disk>
            <interface type='bridge'>
              <mac address='52:54:00:12:34:56'/><source bridge='br0'/><target dev='vnet3'/><model type='virtio'/><alias name='net0'/>
            </interface>
            <interface type='network'>
              <mac address='52:54:00:12:34:57'/>
              <source network='default' portid='9f' bridge='virbr0'/><target dev='vnet4'/><alias name='ua-lan'/>
            </interface>
            <interface type='direct'>
              <mac address='52:54:00:12:34:58'/><source network='lan' dev='eth0' mode='bridge'/><target dev='macvtap0'/>
            </interface>
            <interface type='user'><mac address='52:54:00:12:34:59'/><target dev='eth0'/></interface>
            <interface type='vdpa2'/>
            <interface type='network'>
              <source network='lan'/><actual type='bridge'><source bridge='br9'/></actual><target dev='vnet5'/>
            </interface>
          </devices>
          <qemu:commandline><qemu:arg value='-name'/></qemu:commandline>
        </domain>
        """

    @Test("name, UUID, interfaces")
    func interfaces() throws {
        let domain = try DomainXML.parse(Array(Self.live.utf8))
        #expect(domain.name == "web1")
        #expect(domain.uuid.description == "d1dbdc68-15f1-4c11-9a7d-0b3d7c9f1c11")
        #expect(
            domain.interfaces == [
                DomainInterface(
                    alias: "net0", mac: MACAddress("52:54:00:12:34:56"), type: .bridge, bridge: "br0", device: "vnet3",
                    path: "/domain/devices/interface[1]"),
                DomainInterface(
                    alias: "ua-lan", mac: MACAddress("52:54:00:12:34:57"), type: .network, bridge: "virbr0", network: "default",
                    device: "vnet4",
                    path: "/domain/devices/interface[2]"),
                DomainInterface(
                    mac: MACAddress("52:54:00:12:34:58"), type: .direct, network: "lan", device: "macvtap0",
                    path: "/domain/devices/interface[3]"),
                DomainInterface(mac: MACAddress("52:54:00:12:34:59"), type: .user, device: "eth0", path: "/domain/devices/interface[4]"),
                DomainInterface(type: .other("vdpa2"), path: "/domain/devices/interface[5]"),
                DomainInterface(type: .bridge, bridge: "br9", network: "lan", device: "vnet5", path: "/domain/devices/interface[6]"),
            ])
    }

    @Test("a broken tap says so, and its neighbours work")
    func neighbours() throws {
        let reading = try DomainXML.read(Array(Self.live.utf8))
        let taps = reading.domain.taps
        #expect(taps.map(\.name.text) == ["ids", "broken", "far"])
        #expect(taps[0] == .valid(Tap(name: try #require(TapName("ids")), destination: .named(try #require(TapName("ids"))))))
        guard case .invalid(_, let required, let failure) = taps[1] else {
            Issue.record("valid: \(taps[1])")
            return
        }
        #expect(required)
        #expect(failure.reason == .invalidMetadata)
        #expect(
            failure.message
                == "/tap:taps/tap:tap[2]/@direction: invalid direction \"in\": use inbound (what the guest receives), "
                + "outbound (what it sends) "
                + "or both; did you mean \"inbound\"?")
        guard case .valid(let far) = taps[2] else {
            Issue.record("invalid: \(taps[2])")
            return
        }
        #expect(far.snaplen == .bytes(128))
        #expect(far.destination.label == "vxlan:192.0.2.10:4789/100")
        #expect(reading.diagnostics.map(\.line) == [10])
    }

    private func taps(_ metadata: String) throws -> [TapEntry] {
        try DomainXML.parse(Array(HostileDocumentTests.domain(metadata: metadata).utf8)).taps
    }

    @Test("the namespace counts, and never the prefix")
    func namespace() throws {
        #expect(try taps("<tap xmlns='urn:virt-tap:2' to='a'/>").isEmpty)
        #expect(try taps("<tap:tap xmlns:tap='urn:other' to='a'/>").isEmpty)
        #expect(try taps("<tap to='a'/>").isEmpty)
        #expect(try taps("<x xmlns='urn:x'><tap xmlns='urn:virt-tap:1' to='a'/></x>").isEmpty)
        #expect(try taps("<anything:tap xmlns:anything='urn:virt-tap:1' to='a'/>").map(\.name.text) == ["a"])
        #expect(try taps("<tap xmlns='urn:virt-tap:1' xmlns:K='urn:virt-tap:1' to='a'/>").map(\.isRequired) == [false])
        #expect(try taps("<tap:tap xmlns:tap='urn:other' to='x'/><o:tap xmlns:o='urn:virt-tap:1' to='a'/>").map(\.name.text) == ["a"])
    }

    @Test("one entry for an element of another name, and for a second element")
    func otherNames() throws {
        let other = try taps("<mirror xmlns='urn:virt-tap:1' to='a'><tap to='b'/></mirror>")
        #expect(other.count == 1)
        #expect(other.first?.name == .fallback)
        #expect(reasons(other) == [.invalidMetadata])
        let second = try taps("<tap xmlns='urn:virt-tap:1' to='a'/><tap xmlns='urn:virt-tap:1' to='b'/>")
        #expect(reasons(second) == [nil, .invalidMetadata])
        let stray = try taps("<taps xmlns='urn:virt-tap:1'><tap to='a'/><tpa to='b'/></taps>")
        #expect(reasons(stray) == [nil, .invalidMetadata])
    }

    private func reasons(_ entries: [TapEntry]) -> [Reason?] {
        entries.map { entry in
            guard case .invalid(_, _, let failure) = entry else { return nil }
            return failure.reason
        }
    }

    @Test("names: the default, and of equal ones the first")
    func names() throws {
        let entries = try taps(
            """
            <taps xmlns='urn:virt-tap:1'><tap to='a'/><tap name='a' to='b' required='yes'/><tap name='c' to='a'/>
            <tap><destination><gre remote='192.0.2.1'/></destination></tap><tap name='a b' to='d'/><tap to='d'/></taps>
            """)
        #expect(entries.map(\.name.text) == ["a", "a", "c", "tap", "d", "d"])
        #expect(reasons(entries) == [nil, .duplicateName, nil, nil, .invalidMetadata, nil])
        #expect(entries[1].isRequired)
    }

    @Test("required survives whatever else is wrong, unless the tap is disabled")
    func required() throws {
        let entries = try taps(
            """
            <taps xmlns='urn:virt-tap:1'><tap name='1' required='yes'/><tap name='2' required='yes' enabled='no'/>
            <tap name='3' required='ja'/><tap name='4' to='x' required='yes' bogus='1'/></taps>
            """)
        #expect(entries.map(\.isRequired) == [true, false, false, true])
        #expect(reasons(entries) == [.invalidMetadata, .invalidMetadata, .invalidMetadata, .invalidMetadata])
    }

    @Test("a filter alone is an invalid filter")
    func filter() throws {
        #expect(reasons(try taps("<tap xmlns='urn:virt-tap:1' to='a'><filter>inbound</filter></tap>")) == [.invalidFilter])
        #expect(reasons(try taps("<tap xmlns='urn:virt-tap:1' to='a' x='y'><filter>inbound</filter></tap>")) == [.invalidMetadata])
    }

    @Test(
        "what is no domain",
        arguments: [
            ("<domainsnapshot/>", "not the XML of a domain"), ("<domain xmlns='urn:x'/>", "not the XML of a domain"),
            ("<domain><name>a</name></domain>", "no valid UUID"), ("<domain><name>a</name><uuid>x</uuid></domain>", "no valid UUID"),
            ("<domain><uuid>d1dbdc68-15f1-4c11-9a7d-0b3d7c9f1c11</uuid></domain>", "has no name"),
        ])
    func noDomain(_ xml: String, _ says: String) {
        let problem = #expect(throws: XMLProblem.self) { try DomainXML.parse(Array(xml.utf8)) }
        #expect(problem?.description.contains(says) == true)
    }

    @Test("a file without a UUID, and names that are dangerous elsewhere")
    func handWritten() throws {
        let uuid = try #require(DomainUUID("00000000000000000000000000000001"))
        #expect(try DomainXML.parse(Array("<domain><name>--help</name></domain>".utf8), defaultUUID: uuid).uuid == uuid)
        #expect(throws: XMLProblem.self) {
            try DomainXML.parse(Array("<domain><name>a</name><uuid>x</uuid></domain>".utf8), defaultUUID: uuid)
        }
        #expect(
            try DomainXML.parse(Array("<domain><name>$(id)\u{202E}&#10;</name></domain>".utf8), defaultUUID: uuid).name == "$(id)\u{202E}\n"
        )
    }

    @Test(
        "kinds of documents",
        arguments: [
            ("<virt-tap/>", DocumentKind.configuration), ("<tap/>", .metadata), ("<taps/>", .metadata), ("<domain/>", .domain),
            ("<x xmlns='urn:virt-tap:1'/>", .metadata), ("<network/>", nil),
        ] as [(String, DocumentKind?)])
    func kinds(_ xml: String, _ kind: DocumentKind?) throws {
        #expect(try DocumentKind.detect(Array(xml.utf8)) == kind)
    }
}
