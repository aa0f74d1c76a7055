// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

/// The `<tap>` or `<taps>` element that a domain's metadata holds, by itself.
public enum MetadataXML {
    /// What the element is known by; its prefix says nothing.
    public static let namespace = "urn:virt-tap:1"

    /// Reads the element from a file, or from what libvirt's virDomainGetMetadata returns.
    ///
    /// libvirt takes the namespace off what it returns, so an element in no namespace is read too; all of it must be
    /// in none then.
    ///
    /// - Parameter bytes: UTF-8, at most 1 MiB.
    /// - Returns: Taps and what is wrong with them: a broken one does not hide the others.
    /// - Throws: `XMLProblem` when it is no XML, or the element is in another namespace.
    public static func parse(_ bytes: [UInt8]) throws(XMLProblem) -> MetadataReading {
        let root = try DocumentParser.parseAll(bytes, limits: .metadata)
        guard root.uri == nil || root.uri == namespace else {
            throw XMLProblem([
                Diagnostic(
                    path: "/" + root.step, line: root.line,
                    message: "the element is in the namespace \(Quotation.quoted(root.uri ?? "")); taps are in \(namespace)")
            ])
        }
        guard root.prefix == nil || root.uri != nil else {
            throw XMLProblem([Diagnostic(path: "/" + root.step, line: root.line, message: "the element's prefix is not declared")])
        }
        let diagnostics = Diagnostics()
        let taps = MetadataGrammar.read(root, diagnostics)
        return MetadataReading(taps: taps, diagnostics: diagnostics.all.map(\.printable))
    }

    /// Text as an attribute's value, and between tags. Blanks other than the space, which would become spaces in an
    /// attribute, are references; characters that XML cannot carry stay.
    public static func escaped(_ text: String) -> String { MetadataWriter.escaped(text) }

    /// Writes taps in their canonical form: one as `<tap>`, several as `<taps>`, in the default namespace, what is the
    /// default left out. `parse` gives the same taps back.
    ///
    /// Text is escaped, but characters that XML cannot carry (controls) are written as they are: parse the result
    /// where a tap comes from anywhere but XML.
    ///
    /// - Parameter declaresNamespace: false for virDomainSetMetadata, which adds the declaration itself.
    public static func write(_ taps: [Tap], declaresNamespace: Bool = true) -> String {
        let namespace = declaresNamespace ? namespace : nil
        if taps.count == 1 { return MetadataWriter.tap(taps[0], namespace: namespace) }
        return "<taps\(namespace.map { " xmlns=\"\($0)\"" } ?? "")>\n" + taps.map { MetadataWriter.tap($0, indent: "  ") + "\n" }.joined()
            + "</taps>"
    }
}
