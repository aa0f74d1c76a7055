// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import TestSupport
import Testing

@testable import TapXML

@Suite("Writing metadata")
struct MetadataWriterTests {
    private static func name(_ text: String) -> TapName { TapName(text) ?? .fallback }

    @Test("one tap and several, in their canonical form")
    func canonical() throws {
        let ids = Tap(name: Self.name("ids"), destination: .named(Self.name("ids")))
        #expect(MetadataXML.write([ids]) == "<tap xmlns=\"urn:virt-tap:1\" to=\"ids\"/>")
        let far = Tap(
            name: Self.name("far"), destination: .inline(.tunnel(Tunnel(kind: .vxlan, remote: "192.0.2.10", identifier: 100))),
            direction: .inbound, selectors: [InterfaceSelector(mac: MACAddress("52:54:00:12:34:56"))], filter: "len < 100 && \"x\"",
            snaplen: .headers, sampling: .flows(oneIn: 10),
            rate: RateLimit(perSecond: 1_000_000, unit: .bitsPerSecond, burst: 65_536, text: "1mbit", burstText: "64k"), required: true,
            enabled: false, once: true)
        let text = """
            <taps xmlns="urn:virt-tap:1">
              <tap to="ids"/>
              <tap name="far" direction="inbound" snaplen="headers" sample-flows="1/10" rate="1mbit" burst="64k" required="yes" \
            enabled="no" once="yes">
                <interface mac="52:54:00:12:34:56"/>
                <destination><vxlan remote="192.0.2.10" vni="100"/></destination>
                <filter>len &lt; 100 &amp;&amp; &quot;x&quot;</filter>
              </tap>
            </taps>
            """
        #expect(MetadataXML.write([ids, far]) == text)
        #expect(MetadataXML.write([]) == "<taps xmlns=\"urn:virt-tap:1\">\n</taps>")
    }

    @Test("what is written is read the same, and the schema takes it")
    func roundTrip() throws {
        var random = SeededGenerator(seed: FuzzTests.seed)
        let schema = try Schema("metadata.rng")
        for _ in 0..<1_000 {
            let count = Int.random(in: 0...4, using: &random)
            let taps = (0..<count).map { Self.tap(Self.name("tap-\($0)"), &random) }
            let text = MetadataXML.write(taps)
            let reading = try MetadataXML.parse(Array(text.utf8))
            #expect(reading.taps == taps.map { .valid($0) }, "\(text)\n\(reading.diagnostics)")
            #expect(schema.problem(text) == nil, "\(text)")
        }
    }

    private static func maybe<Value>(_ random: inout SeededGenerator, _ make: (inout SeededGenerator) -> Value) -> Value? {
        Bool.random(using: &random) ? make(&random) : nil
    }

    private static func text(_ random: inout SeededGenerator) -> String {
        let letters = Array("abc 019<>&\"'\t\n\réß漢😀;-[]()")
        return "x" + String((0..<Int.random(in: 0...12, using: &random)).map { _ in letters.randomElement(using: &random) ?? "x" }) + "y"
    }

    private static func mac(_ random: inout SeededGenerator) -> MACAddress? {
        MACAddress(bytes: (0..<6).map { _ in UInt8.random(in: 0...255, using: &random) })
    }

    private static func tap(_ name: TapName, _ random: inout SeededGenerator) -> Tap {
        let rates = [("100mbit", "64k"), ("9999gbit", "1"), ("7kpps", "9999999999"), ("1pps", "3")]
        let (rate, burst) = rates.randomElement(using: &random) ?? ("1bit", "1")
        let sampling: Sampling =
            Bool.random(using: &random)
            ? .packets(oneIn: .random(in: Sampling.range, using: &random)) : .flows(oneIn: .random(in: Sampling.range, using: &random))
        let snaplen: Snaplen = Bool.random(using: &random) ? .headers : .bytes(.random(in: Snaplen.range, using: &random))
        return Tap(
            name: name, destination: destination(name, &random), direction: TapDirection.allCases.randomElement(using: &random) ?? .both,
            selectors: (0..<Int.random(in: 0...3, using: &random)).map { _ in
                InterfaceSelector(
                    mac: Bool.random(using: &random) ? mac(&random) : MACAddress("52:54:00:12:34:56"), alias: maybe(&random, text),
                    bridge: maybe(&random, text), network: maybe(&random, text), device: maybe(&random) { _ in "web1lan" })
            }, filter: maybe(&random, text), snaplen: maybe(&random) { _ in snaplen }, sampling: maybe(&random) { _ in sampling },
            rate: maybe(&random) { random in try? TapValue.rate(rate, burst: maybe(&random) { _ in burst }) } ?? nil,
            required: .random(using: &random), enabled: .random(using: &random), once: .random(using: &random))
    }

    private static func destination(_ name: TapName, _ random: inout SeededGenerator) -> DestinationReference {
        switch Int.random(in: 0..<5, using: &random) {
        case 0: return .named(name)
        case 1: return .named(Self.name("elsewhere"))
        case 2: return .inline(.interface(name: "mon0.7", allowShared: .random(using: &random)))
        case 3: return .inline(.domain(name: text(&random), uuid: nil, mac: mac(&random), alias: maybe(&random, text)))
        default:
            let kind = Tunnel.Kind.allCases.randomElement(using: &random) ?? .gre
            let number: (inout SeededGenerator) -> UInt32 = { .random(in: 0...kind.maximumIdentifier, using: &$0) }
            let isIPv6 = Bool.random(using: &random)
            return .inline(
                .tunnel(
                    Tunnel(
                        kind: kind, remote: isIPv6 ? "2001:db8::1" : "192.0.2.1", identifier: number(&random),
                        inboundIdentifier: maybe(&random, number), outboundIdentifier: maybe(&random, number),
                        port: kind.defaultPort == nil ? nil : maybe(&random) { .random(in: 1...65_535, using: &$0) },
                        version: kind == .erspan ? .random(in: 1...2, using: &random) : nil,
                        source: maybe(&random) { _ in isIPv6 ? "2001:db8::2" : "192.0.2.2" },
                        ttl: maybe(&random) { .random(in: 1...255, using: &$0) }, dscp: maybe(&random) { .random(in: 0...63, using: &$0) },
                        oversize: Tunnel.Oversize.allCases.randomElement(using: &random) ?? .drop)))
        }
    }
}
