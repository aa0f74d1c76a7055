// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import Testing

@testable import TapXML

@Suite("Schemas, parser and documentation agree")
struct SchemaTests {
    @Test("on metadata")
    func metadata() throws {
        let schema = try Schema("metadata.rng")
        for xml in MetadataCorpus.valid { #expect(schema.problem(xml) == nil, "\(xml)") }
        compare(schema, MetadataCorpus.invalid)
    }

    @Test("on configurations")
    func configuration() throws {
        let schema = try Schema("config.rng")
        for xml in ConfigurationCorpus.valid { #expect(schema.problem(xml) == nil, "\(xml)") }
        compare(schema, ConfigurationCorpus.invalid)
    }

    private func compare(_ schema: Schema, _ cases: [InvalidCase]) {
        for example in cases {
            let accepted = schema.problem(example.xml) == nil
            #expect(accepted == (example.beyondSchema != nil), "\(example.xml)")
        }
    }

    @Test("on every example in the documentation and in examples/")
    func documentation() throws {
        let documents = try Self.documents()
        #expect(documents.contains { $0.name.hasPrefix("metadata.md") })
        #expect(documents.contains { $0.name.hasPrefix("configuration.md") })
        #expect(documents.contains { $0.name.hasSuffix(".xml") })
        let metadataSchema = try Schema("metadata.rng")
        let configurationSchema = try Schema("config.rng")
        for (name, xml) in documents {
            let bytes = Array(xml.utf8)
            switch try DocumentKind.detect(bytes) {
            case .metadata:
                let reading = try MetadataXML.parse(bytes)
                #expect(reading.diagnostics == [], "\(name)")
                #expect(metadataSchema.problem(xml) == nil, "\(name)")
            case .configuration:
                #expect(throws: Never.self, "\(name)") { try ConfigurationXML.parse(bytes) }
                #expect(configurationSchema.problem(xml) == nil, "\(name)")
            case .domain:
                let reading = try DomainXML.read(bytes)
                #expect(reading.diagnostics == [], "\(name)")
                #expect(!reading.domain.taps.isEmpty, "\(name) is a domain without a tap: what is it for?")
                let taps = reading.domain.taps.compactMap { entry -> Tap? in
                    guard case .valid(let tap) = entry else { return nil }
                    return tap
                }
                #expect(metadataSchema.problem(MetadataXML.write(taps)) == nil, "\(name)")
            case nil:
                Issue.record("\(name) is neither metadata nor a configuration nor a domain: write a whole document")
            }
        }
    }

    /// The fenced `xml` blocks of README.md and docs/**/*.md, and the files in examples/.
    private static func documents() throws -> [(name: String, xml: String)] {
        var documents: [(String, String)] = []
        var files = [Schema.repository.appending(path: "README.md")]
        for folder in ["docs", "examples"] {
            let enumerator = FileManager.default.enumerator(at: Schema.repository.appending(path: folder), includingPropertiesForKeys: nil)
            while let file = enumerator?.nextObject() as? URL { files.append(file) }
        }
        for file in files where ["md", "xml"].contains(file.pathExtension) {
            guard let text = try? String(contentsOf: file, encoding: .utf8) else { continue }
            if file.pathExtension == "xml" {
                documents.append((file.lastPathComponent, text))
                continue
            }
            for (index, block) in blocks(in: text).enumerated() {
                documents.append(("\(file.lastPathComponent), xml block \(index + 1)", block))
            }
        }
        return documents
    }

    private static func blocks(in markdown: String) -> [String] {
        var blocks: [String] = []
        var current: [Substring]?
        for line in markdown.split(separator: "\n", omittingEmptySubsequences: false) {
            let trimmed = line.trimmingCharacters(in: .whitespaces)
            if let lines = current {
                current = trimmed.hasPrefix("```") ? nil : lines + [line]
                if current == nil { blocks.append(lines.joined(separator: "\n")) }
            } else if trimmed == "```xml" {
                current = []
            }
        }
        return blocks
    }
}
