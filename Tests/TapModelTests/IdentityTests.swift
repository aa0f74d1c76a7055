// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@Suite("Names, addresses, times")
struct IdentityTests {
    @Test func uuid() {
        let uuid = DomainUUID("C7A5FDBD-EDAF-9455-926A-D65C16DB1809")
        #expect(uuid?.description == "c7a5fdbd-edaf-9455-926a-d65c16db1809")
        #expect(uuid == DomainUUID("c7a5fdbdedaf9455926ad65c16db1809"))
        #expect(DomainUUID("c7a5fdbd-edaf-9455-926a-d65c16db180") == nil)
        #expect(DomainUUID("c7a5fdbd-edaf-9455-926a-d65c16db18091") == nil)
        #expect(DomainUUID("x7a5fdbd-edaf-9455-926a-d65c16db1809") == nil)
    }

    @Test func mac() {
        #expect(MACAddress("52:54:0:12:34:AB")?.description == "52:54:00:12:34:ab")
        for bad in ["52:54:00:12:34", "52:54:00:12:34:56:78", "52-54-00-12-34-56", "52:54:00:12:34:567", "", ":::::"] {
            #expect(MACAddress(bad) == nil, "\(bad)")
        }
    }

    @Test func tapNames() {
        for good in ["a", "9", "ids", "a.b_c-d", String(repeating: "x", count: 32)] { #expect(TapName(good) != nil, "\(good)") }
        for bad in ["", ".a", "-a", "_a", "a b", "ä", "a/b", String(repeating: "x", count: 33), "a\n"] {
            #expect(TapName(bad) == nil, "\(bad)")
        }
    }

    @Test func timestamps() {
        #expect(Timestamp(seconds: 0).description == "1970-01-01T00:00:00Z")
        #expect(Timestamp(seconds: 1_795_465_800).description == "2026-11-23T20:30:00Z")
        #expect(Timestamp(seconds: 951_782_399).description == "2000-02-28T23:59:59Z")
        #expect(Timestamp(seconds: 951_782_400).description == "2000-02-29T00:00:00Z")
        for seconds: Int64 in stride(from: -4_000_000_000, to: 40_000_000_000, by: 86_399_123) {
            let time = Timestamp(seconds: seconds)
            #expect(Timestamp(time.description) == time)
        }
        #expect(Timestamp("2026-11-22 20:30:00Z") == nil)
    }

    @Test func attachmentIDs() {
        let key = AttachmentKey(domain: Fixture.uuid, origin: .domain, tap: TapName("a.b")!, ifindex: 16)
        #expect(key.id.text.hasPrefix("00000000000040008000000000000001" + "00000010"))
        #expect(key.id.domain == Fixture.uuid.hex)
        #expect(AttachmentID(directory: key.id.text) == key.id)
        var other = key
        other.origin = .host
        #expect(other.id != key.id)
        for bad in ["", "destinations", key.id.text + "0", key.id.text.uppercased().replacing("0", with: "G")] {
            #expect(AttachmentID(directory: bad) == nil)
        }
    }

    @Test func addresses() {
        #expect(IPAddress.bytes("192.0.2.1") == [192, 0, 2, 1])
        #expect(IPAddress.bytes("::") == [UInt8](repeating: 0, count: 16))
        #expect(IPAddress.bytes("2001:db8::1") == [0x20, 1, 0xD, 0xB8] + [UInt8](repeating: 0, count: 11) + [1])
        #expect(IPAddress.bytes("1:2:3:4:5:6:7:8")?.count == 16)
        #expect(IPAddress.bytes("::ffff:192.0.2.1")?.suffix(6) == [255, 255, 192, 0, 2, 1])
        for bad in [
            "", "1.2.3", "1.2.3.256", "01.2.3.4", "1:2", ":1", "1::2::3", "1:2:3:4:5:6:7:8:9", "12345::", "::1%eth0", "1.2.3.4::", ":::",
        ] {
            #expect(IPAddress.bytes(bad) == nil, "\(bad)")
        }
    }

    @Test func ranges() {
        let net = AddressRange(address: [192, 0, 2, 77], prefixLength: 24)!
        #expect(net.address == [192, 0, 2, 0])
        #expect(net.contains([192, 0, 2, 200]) && !net.contains([192, 0, 3, 1]) && !net.contains(Array(repeating: 0, count: 16)))
        #expect(AddressRange(address: [0, 0, 0, 0], prefixLength: 0)!.contains([9, 9, 9, 9]))
        #expect(!AddressRange(address: [0, 0, 0, 0], prefixLength: 0)!.contains(Array(repeating: 0, count: 16)))
        #expect(AddressRange(address: [1, 2, 3, 4], prefixLength: 33) == nil)
    }

    @Test func nearestNames() {
        let names = ["inbound", "outbound", "both"]
        #expect(NearestName.of("inbond", among: names) == "inbound")
        #expect(NearestName.of("ouTbound", among: names) == "outbound")
        #expect(NearestName.of("everything", among: names) == nil)
        #expect(NearestName.of(String(repeating: "x", count: 1_000_000), among: names) == nil)
    }

    @Test func printableText() {
        #expect("web1 --help $(id)".printable == "web1 --help $(id)")
        #expect("a\nb\u{1B}[31m".printable == "a\\u{a}b\\u{1b}[31m")
        #expect("a\u{202E}b\u{200B}\u{2028}".printable == "a\\u{202e}b\\u{200b}\\u{2028}")
        #expect("\\u{a}".printable == "\\\\u{a}")
        #expect("a\\\r\nb\u{1B}".printable.inert == "a\\\\\\u{d}\\u{a}b\\u{1b}")
        #expect("a\\\r\nb".inert == "a\\\\u{d}\\u{a}b")
        #expect("Müller 東京".printable == "Müller 東京")
    }

    @Test func patterns() {
        func matches(_ pattern: String, _ name: String) -> Bool { DomainPattern.name(pattern).matches(Fixture.domain(name: name)) }
        #expect(matches("web-*", "web-1") && matches("web-*", "web-") && !matches("web-*", "aweb-1"))
        #expect(matches("*", "") && matches("a*b*c", "aXbYbZc") && !matches("a*b*c", "aXbYbZ") && !matches("a?c", "ac"))
        // Built to be slow for a matcher that tries every star again.
        #expect(!matches(String(repeating: "a*", count: 40) + "b", String(repeating: "a", count: 5_000)))
    }
}
