// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

/// A domain's XML, from libvirt, from the qemu hook's standard input, or from a file.
public enum DomainXML {
    /// More than any machine type has slots for.
    static let maximumInterfaces = 4_096
    /// Elements within our own metadata.
    static let maximumMetadata = 20_000

    /// Reads what virt-tap needs to know of a domain.
    ///
    /// - Parameters:
    ///   - bytes: UTF-8, at most `DomainSnapshot.maximumXML`.
    ///   - defaultUUID: Stands in for `<uuid>` in a file that somebody wrote by hand; libvirt always writes one.
    /// - Throws: `XMLProblem` when it is not well-formed, not a domain, or beyond the limits. What is wrong with its taps
    ///   is no error here: such a tap is `TapEntry.invalid`.
    public static func parse(_ bytes: [UInt8], defaultUUID: DomainUUID? = nil) throws(XMLProblem) -> DomainDefinition {
        try read(bytes, defaultUUID: defaultUUID).domain
    }

    /// The UUID in libvirt's own XML, also where the rest cannot be read: it stands near the beginning, once, and libvirt escapes what
    /// others wrote before it.
    public static func uuid(in bytes: [UInt8]) -> DomainUUID? {
        guard let begin = bytes.prefix(16_384).firstRange(of: Array("<uuid>".utf8))?.upperBound else { return nil }
        return DomainUUID(String(decoding: bytes[begin...].prefix(36), as: UTF8.self))
    }

    /// As `parse`, with the places and lines of what is wrong with the taps.
    public static func read(_ bytes: [UInt8], defaultUUID: DomainUUID? = nil) throws(XMLProblem) -> DomainReading {
        var interest = DomainInterest()
        let root = try DocumentParser.parse(bytes, limits: .domain) { interest.keeps($0, ancestors: $1) }
        guard let root, root.name == "domain", root.uri == nil else {
            throw XMLProblem([Diagnostic(path: "/", message: "not the XML of a domain: the root element is not <domain>")])
        }
        guard !interest.hasTooManyInterfaces else {
            throw XMLProblem([Diagnostic(path: "/domain/devices", message: "there are more than \(maximumInterfaces) interfaces")])
        }
        let uuid = root.child("uuid").flatMap { DomainUUID(trimmed($0.text)) } ?? (root.child("uuid") == nil ? defaultUUID : nil)
        guard let uuid else {
            throw XMLProblem([Diagnostic(path: "/domain/uuid", line: root.line, message: "the domain has no valid UUID")])
        }
        guard let name = root.child("name")?.text, !name.isEmpty else {
            throw XMLProblem([Diagnostic(path: "/domain/name", line: root.line, message: "the domain has no name")])
        }
        let diagnostics = Diagnostics()
        let taps = interest.hasTooMuchMetadata ? tooMuchMetadata(diagnostics) : taps(root, diagnostics)
        let definition = DomainDefinition(uuid: uuid, name: name, interfaces: interfaces(root), taps: taps)
        return DomainReading(domain: definition, diagnostics: diagnostics.all.map(\.printable))
    }

    private static func tooMuchMetadata(_ diagnostics: Diagnostics) -> [TapEntry] {
        diagnostics.add(
            Diagnostic(path: "/domain/metadata", message: "the taps' metadata has more than \(maximumMetadata) elements, so none is read"))
        return TapGrammar.failure(diagnostics).map { [.invalid(name: .fallback, required: false, $0)] } ?? []
    }

    private static func taps(_ root: Element, _ diagnostics: Diagnostics) -> [TapEntry] {
        let roots = root.children.filter { $0.name == "metadata" && $0.uri == nil }.flatMap(\.children)
        guard let first = roots.first else { return [] }
        var alone = first
        alone.isOnly = true
        var entries = MetadataGrammar.read(alone, diagnostics)
        if roots.count > 1 {
            let second = Diagnostics()
            second.add(
                Diagnostic(
                    path: "/domain/metadata", line: roots[1].line,
                    message:
                        "there are \(roots.count) elements in the namespace \(MetadataXML.namespace), of which libvirt keeps the first: "
                        + "use <taps> for several taps"))
            diagnostics.add(all: second)
            if let failure = TapGrammar.failure(second) { entries.append(.invalid(name: .fallback, required: false, failure)) }
        }
        return entries
    }

    private static func interfaces(_ root: Element) -> [DomainInterface] {
        let elements = root.children.filter { $0.name == "devices" && $0.uri == nil }.flatMap(\.children)
        return elements.enumerated().map { index, element in
            // libvirt's live XML has the actual type in place of `network`; its status files have it in <actual>.
            let actual = element.child("actual")
            let source = actual?.child("source")
            let declared = element.child("source")
            var interface = DomainInterface(
                alias: element.child("alias")?.attribute("name"),
                mac: element.child("mac")?.attribute("address").flatMap { MACAddress($0) },
                type: InterfaceType(actual?.attribute("type") ?? element.attribute("type") ?? ""),
                bridge: source?.attribute("bridge") ?? declared?.attribute("bridge"),
                network: declared?.attribute("network"), device: element.child("target")?.attribute("dev"),
                path: "/domain/devices/interface[\(index + 1)]")
            interface.backend = element.child("backend")?.attribute("type")
            return interface
        }
    }

    private static func trimmed(_ text: String) -> String {
        String(text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}

/// What a domain's XML says, and what is wrong with its taps.
public struct DomainReading: Sendable {
    public var domain: DomainDefinition
    /// Everything that is wrong with the metadata, with lines; empty exactly when all taps are valid.
    public var diagnostics: [Diagnostic]
}
