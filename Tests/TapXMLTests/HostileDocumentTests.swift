// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@testable import TapXML

/// Whoever may define a domain chooses its XML; root reads it.
@Suite("Hostile documents are answered at once", .serialized)
struct HostileDocumentTests {
    struct Case: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var says: String
        var bytes: @Sendable () -> [UInt8]

        init(_ name: String, says: String, _ bytes: @escaping @Sendable () -> [UInt8]) {
            testDescription = name
            self.says = says
            self.bytes = bytes
        }
    }

    static func domain(metadata: String = "", devices: String = "") -> String {
        "<domain><name>d</name><uuid>d1dbdc68-15f1-4c11-9a7d-0b3d7c9f1c11</uuid><metadata>\(metadata)</metadata>"
            + "<devices>\(devices)</devices></domain>"
    }

    private static func repeated(_ text: String, _ count: Int) -> String { String(repeating: text, count: count) }

    /// Documents that no parser of ours may take, whatever it expects.
    static let refused: [Case] = [
        Case("empty", says: "empty") { [] },
        Case("only a byte order mark", says: "empty") { [0xEF, 0xBB, 0xBF] },
        Case("blanks", says: "not well-formed") { Array(" \n\n".utf8) },
        Case("no XML", says: "not well-formed") { Array("hello".utf8) },
        Case("two roots", says: "not well-formed") { Array("<tap/><tap/>".utf8) },
        Case("cut off", says: "not well-formed") { Array("<taps><tap".utf8) },
        Case("a NUL", says: "NUL") { Array("<tap to='a\0b'/>".utf8) },
        Case("a control character", says: "not well-formed") { Array("<tap to='a\u{1}b'/>".utf8) },
        Case("invalid UTF-8", says: "not UTF-8") { Array("<tap to='".utf8) + [0xFF] + Array("'/>".utf8) },
        Case("an overlong slash", says: "not UTF-8") { Array("<tap to='".utf8) + [0xC0, 0xAF] + Array("'/>".utf8) },
        Case("a surrogate", says: "not UTF-8") { Array("<tap to='".utf8) + [0xED, 0xA0, 0x80] + Array("'/>".utf8) },
        Case("cut within a character", says: "not UTF-8") { Array("<tap/>".utf8) + [0xE2, 0x82] },
        Case("UTF-16", says: "UTF-16") { [0xFF, 0xFE] + "<tap/>".utf8.flatMap { [$0, 0] } },
        Case("UTF-16 without a mark", says: "NUL") { "<tap/>".utf8.flatMap { [0, $0] } },
        Case("another encoding declared", says: "in ISO-8859-1: convert it to UTF-8") {
            Array("<?xml version='1.0' encoding='ISO-8859-1'?><tap/>".utf8)
        },
        Case("UTF-7 declared", says: "UTF-7") { Array("<?xml version=\"1.0\" encoding = \"UTF-7\"?>+ADw-tap/+AD4-".utf8) },
        Case("duplicate attributes", says: "Attribute to redefined") { Array("<tap to='a' to='b'/>".utf8) },
        Case("an undeclared entity", says: "Entity 'x' not defined") { Array("<tap to='&x;'/>".utf8) },
        Case("a document type", says: "document type declaration") { Array("<!DOCTYPE tap><tap/>".utf8) },
        Case("an external entity", says: "document type declaration") {
            Array("<!DOCTYPE tap [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><tap to='&x;'/>".utf8)
        },
        Case("an external DTD", says: "document type declaration") { Array("<!DOCTYPE tap SYSTEM 'http://192.0.2.1/x.dtd'><tap/>".utf8) },
        Case("a billion laughs", says: "document type declaration") {
            var text = "<!DOCTYPE tap [<!ENTITY l0 'ha'>"
            for level in 1...9 { text += "<!ENTITY l\(level) '\(repeated("&l\(level - 1);", 10))'>" }
            return Array((text + "]><tap to='&l9;'/>").utf8)
        },
        Case("100,000 deep", says: "nested deeper than 200") { Array((repeated("<a>", 100_000) + repeated("</a>", 100_000)).utf8) },
        Case("100,000 deep and never closed", says: "nested deeper than 200") { Array(repeated("<a>", 100_000).utf8) },
        Case("100,000 attributes", says: "more than 256 attributes") {
            Array("<a \((0..<100_000).map { "a\($0)='' " }.joined())/>".utf8)
        },
        Case("100,000 attributes behind what is not well-formed", says: "more than 256 attributes") {
            Array("<a b='<'><c></d><a \((0..<100_000).map { "a\($0)='' " }.joined())/>".utf8)
        },
        Case("50,000 namespaces on one element", says: "more than 256 attributes") {
            Array("<a \((0..<50_000).map { "xmlns:a\($0)='u' " }.joined())/>".utf8)
        },
        Case("namespaces in every level", says: "more than 512 namespace declarations") {
            let level = "<a \((0..<200).map { "xmlns:a\($0)='u' " }.joined())>"
            return Array((repeated(level, 100) + repeated("<b/>", 100_000) + repeated("</a>", 100)).utf8)
        },
    ]

    @Test("by all three parsers", arguments: refused)
    func isRefused(_ example: Case) {
        let bytes = example.bytes()
        var problems: [XMLProblem?] = []
        let elapsed = ProcessorTime.of {
            problems.append(#expect(throws: XMLProblem.self) { try DomainXML.parse(bytes) })
            problems.append(#expect(throws: XMLProblem.self) { try MetadataXML.parse(bytes) })
            problems.append(#expect(throws: XMLProblem.self) { try ConfigurationXML.parse(bytes) })
        }
        for problem in problems { #expect(problem?.description.contains(example.says) == true, "\(String(describing: problem))") }
        #expect(elapsed < .seconds(3))
    }

    @Test("the line of an error")
    func line() {
        for (text, line) in [("<a>\n\n<b>\n</a>", 4), ("<a>\n<b x='1'\n x='2'/></a>", 3), ("<a>\n\0</a>", 2)] {
            let problem = #expect(throws: XMLProblem.self) { try ConfigurationXML.parse(Array(text.utf8)) }
            #expect(problem?.diagnostics.first?.line == line, "\(text)")
        }
    }

    /// Large but legal, or nearly: each gives an answer within a second.
    static let large: [Case] = [
        Case("10 MB of foreign metadata", says: "result") {
            Array(
                domain(
                    metadata: "<x:a xmlns:x='urn:x'>\(repeated("<x:b c='d'>text</x:b>", 480_000))</x:a><tap xmlns='urn:virt-tap:1' to='a'/>"
                ).utf8)
        },
        Case("10 MB of text", says: "result") {
            Array(
                domain(metadata: "<x:a xmlns:x='urn:x'>\(repeated("0123456789", 1_000_000))</x:a><tap xmlns='urn:virt-tap:1' to='a'/>").utf8
            )
        },
        Case("100,000 foreign elements wide", says: "result") {
            Array(domain(metadata: repeated("<x:tap xmlns:x='urn:x'/>", 100_000) + "<tap xmlns='urn:virt-tap:1' to='a'/>").utf8)
        },
        Case("4,096 interfaces", says: "result") {
            Array(
                domain(
                    metadata: "<tap xmlns='urn:virt-tap:1' to='a'/>",
                    devices: repeated("<interface type='bridge'><source bridge='b'/></interface>", 4_096)
                ).utf8)
        },
        Case("a filter of 10 MB", says: "invalid") {
            Array(domain(metadata: "<tap xmlns='urn:virt-tap:1' to='a'><filter>\(repeated("or tcp ", 1_400_000))</filter></tap>").utf8)
        },
        Case("a name of 9 MB", says: "invalid") {
            Array(domain(metadata: "<tap xmlns='urn:virt-tap:1' to='\(repeated("a", 9_000_000))'/>").utf8)
        },
        Case("100,000 taps", says: "invalid") {
            Array(domain(metadata: "<taps xmlns='urn:virt-tap:1'>\(repeated("<tap to='a'/>", 100_000))</taps>").utf8)
        },
        Case("15,000 taps", says: "invalid") {
            Array(domain(metadata: "<taps xmlns='urn:virt-tap:1'>\(repeated("<tap to='a'/>", 15_000))</taps>").utf8)
        },
        Case("15,000 selectors and unknown elements", says: "invalid") {
            Array(domain(metadata: "<tap xmlns='urn:virt-tap:1' to='a'>\(repeated("<interfac mac='52:54'/>", 15_000))</tap>").utf8)
        },
        Case("100,000 interfaces", says: "more than 4096 interfaces") {
            Array(domain(devices: repeated("<interface type='bridge'/>", 100_000)).utf8)
        },
        Case("4,000,000 elements", says: "more than 500000 elements") { Array(domain(metadata: repeated("<a/>", 4_000_000)).utf8) },
        Case("17 MiB", says: "at most 16 MiB are read") { Array(domain(metadata: repeated(" ", 17 << 20)).utf8) },
    ]

    @Test("when they are large", arguments: large)
    func isBounded(_ example: Case) {
        let bytes = example.bytes()
        var outcome = ""
        let elapsed = ProcessorTime.of {
            do throws(XMLProblem) {
                let domain = try DomainXML.parse(bytes)
                outcome =
                    domain.taps.allSatisfy { if case .valid = $0 { true } else { false } } && domain.taps.count == 1 ? "result" : "invalid"
                #expect(domain.taps.count <= 257)
            } catch {
                outcome = error.description
            }
        }
        #expect(outcome.contains(example.says), "\(outcome.prefix(300))")
        // None takes 0.3 s in a debug build.
        #expect(elapsed < .seconds(2), "\(example.testDescription) took \(elapsed)")
    }

    @Test("a wide configuration and wide metadata")
    func wide() {
        let configuration = #expect(throws: XMLProblem.self) {
            try ConfigurationXML.parse(Array("<virt-tap>\(Self.repeated("<a/>", 100_000))</virt-tap>".utf8))
        }
        #expect(configuration?.description.contains("more than 20000 elements") == true)
        let some = #expect(throws: XMLProblem.self) {
            try ConfigurationXML.parse(Array("<virt-tap>\(Self.repeated("<a/>", 10_000))</virt-tap>".utf8))
        }
        #expect(some?.diagnostics.count == Diagnostics.maximum + 1)
        #expect(some?.diagnostics.last?.message == "9950 more problems are not listed")
    }

    @Test("messages carry nothing that moves a terminal or the text's direction")
    func escaping() throws {
        let reading = try MetadataXML.parse(Array("<tap xmlns='urn:virt-tap:1' to='a\u{202E}\u{9B}31m&#10;\u{85}'/>".utf8))
        let message = try #require(reading.diagnostics.first?.message)
        #expect(message.contains("a\\u{202e}\\u{9b}31m\\u{a}\\u{85}"), "\(message)")
    }
}
