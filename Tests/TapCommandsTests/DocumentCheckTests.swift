// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@testable import TapCommands

@Suite("check")
struct DocumentCheckTests {
    private func check(_ text: String, host: HostState = Samples.host) -> CheckReport { check(Array(text.utf8), host: host) }

    private func check(_ bytes: [UInt8], host: HostState = Samples.host) -> CheckReport {
        DocumentCheck(host: host).check(DocumentFile(name: "f.xml", bytes: bytes))
    }

    @Test("A configuration, good and bad")
    func configuration() {
        #expect(
            check("<virt-tap>\n<destination name=\"a\"><interface name=\"m\"/></destination>\n</virt-tap>")
                == CheckReport(.good, lines: ["f.xml: valid configuration: destination a"]))
        let bad = check("<virt-tap>\n\n<destinaton/>\n</virt-tap>")
        #expect(bad.outcome == .badConfiguration && bad.diagnostics.count == 1)
        #expect(bad.diagnostics.first?.hasPrefix("f.xml:3: /virt-tap/destinaton: ") == true)
    }

    @Test("Metadata, with and without its namespace")
    func metadata() {
        for text in [#"<tap to="ids"/>"#, #"<x:taps xmlns:x="urn:virt-tap:1"><x:tap to="ids"/></x:taps>"#] {
            #expect(check(text) == CheckReport(.good, lines: ["f.xml: valid metadata: tap ids"]))
        }
        let wrong = check("<tap to=\"ids\"\n  direction=\"in\"/>")
        #expect(wrong.outcome == .bad && wrong.diagnostics.first?.hasPrefix("f.xml:2: ") == true)
        #expect(
            check(#"<tap to="idz"/>"#).diagnostics == [
                "f.xml: tap idz: this host's configuration defines no destination idz; did you mean ids?"
            ])
    }

    @Test("What a valid configuration does not come to, as notes")
    func configurationNotes() {
        let text = #"""
            <virt-tap><policy taps="no"/><limit rate="1gbit"/><control group="watchers"/>
            <destination name="here"><interface name="mon0"/></destination>
            <destination name="gone"><interface name="mon9"/></destination>
            <destination name="shared"><interface name="br0"/></destination>
            <destination name="sensor"><domain name="sensor" alias="net0"/></destination>
            <destination name="tunnel"><vxlan remote="192.0.2.10" vni="7"/></destination></virt-tap>
            """#
        func check(isOwn: Bool, hasGroup: Bool = true) -> CheckReport {
            var file = DocumentFile(name: "f.xml", bytes: Array(text.utf8))
            file.isHostConfiguration = isOwn
            return DocumentCheck(host: Samples.host, hasGroup: { $0 == "watchers" && hasGroup }).check(file)
        }
        func about(_ report: CheckReport) -> [String] {
            report.lines.dropFirst().map { $0.split(separator: " ")[2...3].joined(separator: " ") }
        }
        let other = check(isOwn: false)
        #expect(other.diagnostics == [] && other.outcome == .good)
        #expect(other.lines.first?.hasPrefix("f.xml: valid configuration: destinations here, gone") == true)
        #expect(about(other) == ["<policy taps=\"no\"/>"])
        let own = check(isOwn: true)
        #expect(
            about(own) == [
                "<policy taps=\"no\"/>", "destination gone:", "destination shared:", "destination sensor:",
                "destination tunnel:",
            ])
        #expect(own.lines.contains { $0.hasSuffix("(libvirt-disconnected)") })
        #expect(own.lines.contains { $0.hasSuffix("(destination-unsafe)") } && own.lines.contains { $0.hasSuffix("(destination-down)") })
        let groupless = check(isOwn: false, hasGroup: false)
        // It is for reading status only.
        #expect(
            groupless.outcome == .good
                && groupless.lines.contains { $0.contains("no such group") && $0.hasSuffix("(status-socket-missing)") })
    }

    @Test("By which device and gateway copies leave, where that is the default route")
    func defaultRoute() throws {
        let text = #"<virt-tap><destination name="far"><vxlan remote="198.51.100.5" vni="7"/></destination></virt-tap>"#
        var host = Samples.host
        let query = UnderlayQuery(remote: [198, 51, 100, 5])
        let mon0 = try #require(host.devices["mon0"])
        host.paths[query] = .success(
            UnderlayPath(
                ifindex: mon0.index, device: "mon0", source: [192, 0, 2, 1], sourceMAC: try #require(MACAddress("02:00:00:00:00:0a")),
                nextHop: [192, 0, 2, 254], nextHopMAC: MACAddress("02:00:00:00:00:0b"), mtu: 1_500, prefixLength: 0))
        var file = DocumentFile(name: "f.xml", bytes: Array(text.utf8))
        file.isHostConfiguration = true
        let report = DocumentCheck(host: host).check(file)
        #expect(report.outcome == .good && report.lines.count == 2)
        #expect(
            report.lines.last?.hasPrefix("f.xml: note: destination far: copies to 198.51.100.5 leave by the default route, by mon0 and the")
                == true && report.lines.last?.hasSuffix("(default-route)") == true, "\(report.lines)")
        // Of another host's nothing is known here.
        file.isHostConfiguration = false
        #expect(DocumentCheck(host: host).check(file).lines.count == 1)
    }

    @Test("What is only missing at the moment makes a configuration no worse")
    func missingDestination() {
        var file = DocumentFile(
            name: "f.xml", bytes: Array(#"<virt-tap><destination name="a"><interface name="m"/></destination></virt-tap>"#.utf8))
        file.isHostConfiguration = true
        let report = DocumentCheck(host: Samples.host).check(file)
        #expect(report.outcome == .good && report.lines.count == 2)
    }

    @Test("Metadata that would copy nothing here says why")
    func metadataNotes() {
        for (text, reason) in [
            (#"<tap to="far"/>"#, "neighbour-unreachable"),
            (#"<tap to="bridge"/>"#, "destination-unsafe"), (#"<tap to="span"/>"#, "destination-down"),
        ] {
            let report = check(text)
            #expect(report.outcome == .bad && report.lines.count == 2 && report.lines.last?.hasSuffix("(\(reason))") == true, "\(report)")
            #expect(report.lines.last?.hasPrefix("f.xml: note: tap ") == true)
        }
        let unknown = check(#"<tap to="vm"/>"#)
        #expect(unknown.outcome == .good && unknown.lines.last?.hasSuffix("(libvirt-disconnected)") == true)
        for text in [
            #"<tap to="private"/>"#, #"<tap to="ids" rate="1mbit" snaplen="headers"/>"#, #"<tap to="far" enabled="no"/>"#,
            #"<tap to="ids"><interface mac="52:54:00:00:00:77"/></tap>"#,
        ] { #expect(check(text).outcome == .good && check(text).lines.count == 1) }
    }

    @Test("A filter is good or bad, or could not be tried")
    func filters() {
        #expect(check("<tap to='ids'><filter>tcp</filter></tap>") == CheckReport(.good, lines: ["f.xml: valid metadata: tap ids"]))
        let words = "libpcap does not accept the filter: syntax error"
        let bad = check("<tap to='ids'><filter>tpc</filter></tap>")
        #expect(bad == CheckReport(.bad, diagnostics: ["f.xml: tap/filter: \(words)"]))
        let second = check("<taps><tap to='ids'/><tap to='private'><filter>tpc</filter></tap></taps>")
        #expect(second.diagnostics == ["f.xml: tap[2]/filter: \(words)"])
        let domain = check(Samples.domainXML(Samples.metadata("<v:tap to='ids'><v:filter>tpc</v:filter></v:tap>")))
        #expect(domain.diagnostics == ["f.xml: tap/filter: \(words)"])
        #expect(domain.lines == ["f.xml: web1/ids: not copied: \(words) (invalid-filter)"])
        let untried = check("<tap to='ids'><filter>vlan</filter></tap>")
        #expect(untried.outcome == .good && untried.lines.last == "f.xml: note: tap ids: no process for it (attach-failed)")
    }

    @Test("The filters that are to be compiled")
    func filtersOfDocuments() async {
        let tap = "<tap xmlns='urn:virt-tap:1' to='ids'><filter>a</filter></tap>"
        func filters(_ text: String) async -> [String] {
            let taps = DocumentCheck(host: Samples.host).taps(in: DocumentFile(name: "f.xml", bytes: Array(text.utf8)))
            return await FilterCheck { .success(CompiledFilter(expression: $0, instructions: [])) }.results(of: taps).keys.sorted()
        }
        #expect(await filters(tap) == ["a"])
        #expect(await filters("<taps xmlns='urn:virt-tap:1'>" + String(repeating: "\(tap)<tap to='x'/>", count: 20) + "</taps>") == ["a"])
        #expect(await filters("<domain><name>n</name><metadata>\(tap)</metadata></domain>") == ["a"])
        #expect(await filters("<virt-tap/>") == [])
        #expect(await filters("no XML") == [])
    }

    @Test("What is none of these, and what is no XML")
    func other() {
        #expect(check("<html/>").diagnostics.first?.contains("unknown document: expected <virt-tap>") == true)
        #expect(check("hello").outcome == .bad)
        #expect(check("").outcome == .bad)
    }

    @Test("A domain from another host: its generated device names mean nothing here")
    func domain() {
        // A device of that name is here, and is another guest's.
        var host = Samples.host
        host.devices = DeviceTable(
            Array(host.devices.all) + [HostDevice(index: 60, name: "vnet3", mac: MACAddress("fe:54:00:99:99:99"), kind: .tap)])
        let report = check(Samples.domainXML(Samples.metadata(#"<v:tap to="ids"/>"#)), host: host)
        #expect(
            report == CheckReport(.good, lines: ["f.xml: web1/ids: net0 52:54:00:00:00:01: both directions would be copied to ids"]))
    }

    @Test("A device that somebody named is judged as it is")
    func namedDevice() {
        var host = Samples.host
        host.devices = DeviceTable(Array(host.devices.all) + [HostDevice(index: 61, name: "eth0", mac: nil, kind: .other(""))])
        let xml = String(decoding: Samples.domainXML(Samples.metadata(#"<v:tap to="ids"/>"#)), as: UTF8.self)
        let report = check(xml.split(separator: "vnet3").joined(separator: "eth0"), host: host)
        #expect(report.outcome == .bad && report.lines.first?.contains("(device-not-owned)") == true)
    }

    @Test("A domain that is shut off, or not even defined")
    func shutOff() {
        let xml =
            #"<domain><name>new</name><metadata><tap xmlns="urn:virt-tap:1" to="ids" direction="inbound"/></metadata>"#
            + #"<devices><interface type="direct"/><interface type="network"/></devices></domain>"#
        #expect(
            check(xml)
                == CheckReport(
                    .good,
                    lines: [
                        "f.xml: new/ids: 52:54:00:00:00:00: inbound would be copied to ids",
                        "f.xml: new/ids: 52:54:00:00:00:01: inbound would be copied to ids",
                    ]))
    }

    @Test(
        "Why not",
        arguments: zip(
            [
                #"<v:tap to="span"/>"#, #"<v:tap to="private"/>"#, #"<v:tap to="idss"/>"#,
                #"<v:tap to="ids"><v:filter>tpc</v:filter></v:tap>"#,
                #"<v:tap to="ids" colour="red"/>"#,
                #"<v:tap to="ids"><v:interface mac="52:54:00:00:00:99"/></v:tap>"#,
            ],
            [
                "but: destination span: interface mon1 does not exist", "(destination-not-allowed)",
                "did you mean ids? (no-such-destination)",
                "not copied: libpcap does not accept the filter: syntax error (invalid-filter)", "(invalid-metadata)",
                "(no-matching-interface)",
            ]))
    func refused(metadata: String, sentence: String) {
        let report = check(Samples.domainXML(Samples.metadata(metadata)))
        #expect(report.outcome == .bad && report.lines.contains { $0.contains(sentence) }, "\(report.lines)")
    }

    @Test("What is switched off is no error; a domain without taps neither")
    func disabled() {
        let report = check(Samples.domainXML(Samples.metadata(#"<v:tap to="ids" enabled="no"/>"#)))
        #expect(report.outcome == .good && report.lines.first?.contains("not copied: switched off") == true)
        #expect(check(Samples.domainXML("")) == CheckReport(.good, lines: ["f.xml: domain web1 has no tap"]))
    }

    @Test("Names are escaped")
    func hostile() {
        let report = check(Samples.domainXML(Samples.metadata(#"<v:tap to="ids"/>"#), name: "a&#10;b\u{202E}"))
        #expect(report.lines.first?.hasPrefix(#"f.xml: a\u{a}b\u{202e}/ids: "#) == true)
    }
}
