// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

@testable import TapXML

/// Mutated documents: nothing crashes, nothing takes long, and what is called valid can be written and read again.
///
/// `VT_FUZZ_SEED` and `VT_FUZZ_ROUNDS` choose another run; the seed is printed.
@Suite("Fuzz", .serialized)
struct FuzzTests {
    static let seed = ProcessInfo.processInfo.environment["VT_FUZZ_SEED"].flatMap { UInt64($0) } ?? 20_261_122
    static let rounds = ProcessInfo.processInfo.environment["VT_FUZZ_ROUNDS"].flatMap { Int($0) } ?? 4_000

    private static let fragments: [String] = [
        "<", ">", "/>", "</", "\"", "'", "=", "&", "&lt;", "&#0;", "&#x10FFFF;", "&x;", "<!--", "-->", "<![CDATA[", "]]>", "<?", "?>",
        "<!DOCTYPE a>", "xmlns=''", "xmlns:tap='urn:virt-tap:1'", "tap:", "taps", "tap", "interface", "destination", "filter", "vxlan",
        "inbound", "1/0", "99999999999999999999", "-1", "0x", "mbps", "::", "192.0.2.1/33", "\0", "\u{FEFF}", "\u{202E}", "é", " ", "\n",
        "required='yes'", "name='a'", "to='a'", "52:54:00:12:34:56", "'/><tap to='", "</tap>", "</taps>", "<tap/>", "yes", "no",
    ]

    private static func mutate(_ document: [UInt8], with other: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        var bytes = document
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let at = Int.random(in: 0...bytes.count, using: &random)
            let length = Int.random(in: 0...min(24, bytes.count - at), using: &random)
            switch Int.random(in: 0..<7, using: &random) {
            case 0: bytes.removeSubrange(at..<at + length)
            case 1: bytes.insert(contentsOf: bytes[at..<at + length], at: at)
            case 2: bytes.insert(contentsOf: Array((fragments.randomElement(using: &random) ?? "").utf8), at: at)
            case 3: bytes.replaceSubrange(at..<at + length, with: Array((fragments.randomElement(using: &random) ?? "").utf8))
            case 4 where at < bytes.count: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 5 where at < bytes.count: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            default:
                let from = Int.random(in: 0...other.count, using: &random)
                bytes.insert(contentsOf: other[from..<min(other.count, from + Int.random(in: 0...200, using: &random))], at: at)
            }
        }
        return bytes
    }

    private static func run(_ name: String, valid: [String], invalid: [String] = [], _ parse: ([UInt8]) throws -> Bool) throws {
        print("fuzz \(name): VT_FUZZ_SEED=\(seed) VT_FUZZ_ROUNDS=\(rounds)")
        var random = SeededGenerator(seed: seed)
        var slowest = Duration.zero
        var accepted = 0
        for round in 0..<rounds {
            let corpus = invalid.isEmpty || Bool.random(using: &random) ? valid : invalid
            let document = Array((corpus.randomElement(using: &random) ?? "").utf8)
            let other = Array((corpus.randomElement(using: &random) ?? "").utf8)
            let bytes = mutate(document, with: other, &random)
            let start = ProcessorTime.now
            do {
                if try parse(bytes) { accepted += 1 }
            } catch let problem as XMLProblem {
                #expect(!problem.diagnostics.isEmpty, "round \(round): an error that says nothing")
                #expect(problem.diagnostics.count <= Diagnostics.maximum + 1)
                #expect(problem.diagnostics.allSatisfy { !$0.message.isEmpty })
            }
            slowest = max(slowest, ProcessorTime.now - start)
        }
        print("fuzz \(name): \(accepted) of \(rounds) accepted, the slowest took \(slowest)")
        #expect(slowest < .seconds(1))
        // A run in which nothing or everything is accepted has tested nothing.
        #expect(accepted > 0 && accepted < rounds)
    }

    @Test("metadata")
    func metadata() throws {
        try Self.run("metadata", valid: MetadataCorpus.valid, invalid: MetadataCorpus.invalid.map(\.xml)) { bytes in
            let reading = try MetadataXML.parse(bytes)
            try Self.check(reading.taps)
            let isValid = reading.taps.allSatisfy { if case .valid = $0 { true } else { false } }
            #expect(isValid == reading.diagnostics.isEmpty)
            return isValid
        }
    }

    @Test("configuration")
    func configuration() throws {
        try Self.run("configuration", valid: ConfigurationCorpus.valid, invalid: ConfigurationCorpus.invalid.map(\.xml)) { bytes in
            let configuration = try ConfigurationXML.parse(bytes)
            #expect(Set(configuration.destinations.map(\.name)).count == configuration.destinations.count)
            #expect(configuration.mark.value != 0 && configuration.mark.value & ~configuration.mark.mask == 0)
            return true
        }
    }

    @Test("domain XML and hook input")
    func domain() throws {
        let metadata = MetadataCorpus.valid.map { HostileDocumentTests.domain(metadata: $0, devices: "<interface type='bridge'/>") }
        try Self.run("domain", valid: metadata, invalid: [DomainXMLTests.live]) { bytes in
            let reading = try DomainXML.read(bytes)
            try Self.check(reading.domain.taps)
            return reading.diagnostics.isEmpty
        }
    }

    private static func check(_ entries: [TapEntry]) throws {
        for entry in entries {
            switch entry {
            case .valid(let tap):
                let text = MetadataXML.write([tap])
                #expect(try MetadataXML.parse(Array(text.utf8)).taps == [.valid(tap)], "\(text)")
            case .invalid(_, _, let failure):
                #expect(!failure.message.isEmpty)
                #expect(failure.message.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control })
            }
        }
    }
}
