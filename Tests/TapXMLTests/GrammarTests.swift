// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@testable import TapXML

@Suite("Every rule of the grammars")
struct GrammarTests {
    @Test("valid metadata has only valid taps", arguments: MetadataCorpus.valid)
    func validMetadata(_ xml: String) throws {
        let reading = try MetadataXML.parse(Array(xml.utf8))
        #expect(reading.diagnostics == [])
        #expect(reading.taps.allSatisfy { if case .valid = $0 { true } else { false } })
    }

    @Test("invalid metadata says what is wrong, where, and what was meant", arguments: MetadataCorpus.invalid)
    func invalidMetadata(_ example: InvalidCase) throws {
        let reading = try MetadataXML.parse(Array(example.xml.utf8))
        expect(reading.diagnostics, example)
        let failures = reading.taps.compactMap { entry -> Failure? in
            guard case .invalid(_, _, let failure) = entry else { return nil }
            return failure
        }
        #expect(failures.count == 1)
        #expect(failures.first?.message.contains(example.says) == true)
        #expect(failures.first?.message.contains(example.path) == true)
    }

    @Test("metadata in no namespace, as libvirt returns it, reads the same", arguments: MetadataCorpus.valid)
    func strippedMetadata(_ xml: String) throws {
        guard !xml.contains("v:tap") else { return }
        let stripped = xml.replacing("xmlns=\"urn:virt-tap:1\"", with: "")
        let reading = try MetadataXML.parse(Array(stripped.utf8))
        #expect(reading.diagnostics == [])
        #expect(try MetadataXML.parse(Array(xml.utf8)).taps == reading.taps)
    }

    @Test("valid configurations", arguments: ConfigurationCorpus.valid)
    func validConfiguration(_ xml: String) throws {
        _ = try ConfigurationXML.parse(Array(xml.utf8))
    }

    @Test("invalid configurations say what is wrong, where, and what was meant", arguments: ConfigurationCorpus.invalid)
    func invalidConfiguration(_ example: InvalidCase) throws {
        let problem = #expect(throws: XMLProblem.self) { try ConfigurationXML.parse(Array(example.xml.utf8)) }
        expect(problem?.diagnostics ?? [], example)
        #expect(problem?.diagnostics.allSatisfy { $0.line != nil } == true)
    }

    private func expect(_ diagnostics: [Diagnostic], _ example: InvalidCase) {
        let match = diagnostics.first { $0.path == example.path && $0.message.contains(example.says) }
        #expect(match != nil, "\(diagnostics)")
        #expect(match?.suggestion == example.suggests)
    }
}
