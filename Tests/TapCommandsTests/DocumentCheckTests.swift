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
                == CheckReport(.good, lines: ["f.xml: a valid configuration, destination a"]))
        let bad = check("<virt-tap>\n\n<destinaton/>\n</virt-tap>")
        #expect(bad.outcome == .badConfiguration && bad.diagnostics.count == 1)
        #expect(bad.diagnostics.first?.hasPrefix("f.xml:3: /virt-tap/destinaton: ") == true)
    }

    @Test("Metadata, with and without its namespace")
    func metadata() {
        for text in [#"<tap to="ids"/>"#, #"<x:taps xmlns:x="urn:virt-tap:1"><x:tap to="ids"/></x:taps>"#] {
            #expect(check(text) == CheckReport(.good, lines: ["f.xml: valid metadata, tap ids"]))
        }
        let wrong = check("<tap to=\"ids\"\n  direction=\"in\"/>")
        #expect(wrong.outcome == .bad && wrong.diagnostics.first?.hasPrefix("f.xml:2: ") == true)
        #expect(
            check(#"<tap to="idz"/>"#).diagnostics == [
                "f.xml: tap idz: this host's configuration defines no destination idz; did you mean ids?"
            ])
    }

    @Test("What is none of these, and what is no XML")
    func other() {
        #expect(check("<html/>").diagnostics.first?.contains("this is none of") == true)
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
            report == CheckReport(.good, lines: ["f.xml: web1/ids: net0 52:54:00:00:00:01: both would be copied to ids"]))
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
                #"<v:tap to="ids"><v:filter>tcp</v:filter></v:tap>"#,
                #"<v:tap to="ids" colour="red"/>"#,
                #"<v:tap to="ids"><v:interface mac="52:54:00:00:00:99"/></v:tap>"#,
            ],
            [
                "but: destination span: interface mon1 does not exist", "(destination-not-allowed)",
                "did you mean ids? (no-such-destination)",
                "(not-implemented)", "(invalid-metadata)", "(no-matching-interface)",
            ]))
    func refused(metadata: String, sentence: String) {
        let report = check(Samples.domainXML(Samples.metadata(metadata)))
        #expect(report.outcome == .bad && report.lines.contains { $0.contains(sentence) }, "\(report.lines)")
    }

    @Test("What is switched off is no error; a domain without taps neither")
    func disabled() {
        let report = check(Samples.domainXML(Samples.metadata(#"<v:tap to="ids" enabled="no"/>"#)))
        #expect(report.outcome == .good && report.lines.first?.contains("not copied: switched off") == true)
        #expect(check(Samples.domainXML("")) == CheckReport(.good, lines: ["f.xml: domain web1 has no taps"]))
    }

    @Test("Names are escaped")
    func hostile() {
        let report = check(Samples.domainXML(Samples.metadata(#"<v:tap to="ids"/>"#), name: "a&#10;b\u{202E}"))
        #expect(report.lines.first?.hasPrefix(#"f.xml: a\u{a}b\u{202e}/ids: "#) == true)
    }
}
