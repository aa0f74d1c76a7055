// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@testable import TapXML

@Suite("The configuration")
struct ConfigurationXMLTests {
    @Test("an empty one is the defaults")
    func defaults() throws {
        #expect(try ConfigurationXML.parse(Array("<virt-tap/>".utf8)) == HostConfiguration())
    }

    @Test("everything that can stand in it")
    func whole() throws {
        let configuration = try ConfigurationXML.parse(Array(ConfigurationCorpus.whole.utf8))
        let uuid = try #require(DomainUUID("d1dbdc68-15f1-4c11-9a7d-0b3d7c9f1c11"))
        let allowed = try #require(DomainUUID("d1dbdc68-15f1-4c11-9a7d-0b3d7c9f1c12"))
        let expected = HostConfiguration(
            libvirtURI: "qemu:///system",
            policy: Policy(
                tapsAllowed: false, maximumTaps: 32,
                inline: InlinePolicy(
                    kinds: [.vxlan, .geneve],
                    remotes: [
                        try #require(AddressRange(address: [192, 0, 2, 0], prefixLength: 24)),
                        try #require(AddressRange(address: [0x20, 1, 0xD, 0xB8] + [UInt8](repeating: 0, count: 12), prefixLength: 64)),
                    ])),
            mark: PacketMark(value: 0x1000, mask: 0x3000), hookTimeout: 7, resyncInterval: 90, mechanism: .clsact,
            limit: RateLimit(perSecond: 10_000_000_000, unit: .bitsPerSecond, burst: nil, text: "10gbit", burstText: nil),
            controlGroup: "virt-tap",
            destinations: [
                DestinationDefinition(
                    name: try #require(TapName("ids")),
                    target: .domain(name: "sensor", uuid: uuid, mac: MACAddress("52:54:00:00:00:07"), alias: nil)),
                DestinationDefinition(name: try #require(TapName("span")), target: .interface(name: "mon0", allowShared: true)),
                DestinationDefinition(
                    name: try #require(TapName("here")), target: .monitor(name: "span0"),
                    rate: RateLimit(perSecond: 1_000_000_000, unit: .bitsPerSecond, burst: nil, text: "1gbit", burstText: nil),
                    mtu: 1_500, allow: [.name("web-*")]),
                DestinationDefinition(
                    name: try #require(TapName("far")),
                    target: .tunnel(
                        Tunnel(
                            kind: .vxlan, remote: "2001:db8::10", identifier: 100, port: 4_790, source: "2001:db8::9", device: "ens4")),
                    rate: RateLimit(perSecond: 1_000_000_000, unit: .bitsPerSecond, burst: 1_048_576, text: "1gbit", burstText: "1m"),
                    mtu: 1_500, allow: [.name("web-*"), .uuid(allowed)]),
            ])
        #expect(configuration == expected)
    }

    @Test("all problems at once, with lines, in words")
    func allAtOnce() {
        let text = """
            <virt-tap>
              <polcy/>
              <hook timeout="99"/>
              <destination name="a"><interface name="mon0"/></destination>
              <destination name="a" mtu="1">
                <vxlan remote="sensor" vni="100"/>
              </destination>
            </virt-tap>
            """
        let problem = #expect(throws: XMLProblem.self) { try ConfigurationXML.parse(Array(text.utf8)) }
        #expect(
            problem?.description == """
                line 2: /virt-tap/polcy: unknown element: <virt-tap> has libvirt, policy, mark, hook, resync, mechanism, limit, control, \
                destination; did you mean "policy"?
                line 3: /virt-tap/hook/@timeout: invalid number "99": use 1 to 10
                line 5: /virt-tap/destination[2]/@name: the destination of line 4 has the name a too: give one of them another name
                line 5: /virt-tap/destination[2]/@mtu: invalid number "1": use 576 to 65535
                line 6: /virt-tap/destination[2]/vxlan/@remote: invalid address "sensor": use an IPv4 or IPv6 address; names are not looked up
                """)
    }

    @Test("problems in the order of their lines, whatever is looked at first")
    func inOrder() {
        let text = """
            <virt-tap>
              <destination name="b">
                <interface nme="mon0"/>
              </destination>
              <hook timeout="99"/>
              <polcy/>
            </virt-tap>
            """
        let problem = #expect(throws: XMLProblem.self) { try ConfigurationXML.parse(Array(text.utf8)) }
        let lines = problem?.diagnostics.compactMap(\.line) ?? []
        #expect(lines.count >= 4 && lines == lines.sorted(), "\(lines)")
    }

    @Test("a mask that is left out is the value's own bits")
    func mark() throws {
        #expect(
            try ConfigurationXML.parse(Array("<virt-tap><mark value='0x30'/></virt-tap>".utf8)).mark == PacketMark(value: 0x30, mask: 0x30))
    }
}
