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

/// What a piece of metadata says.
public struct MetadataReading: Sendable {
    /// Every tap, valid or not, in order.
    public var taps: [TapEntry]
    /// Everything that is wrong, with lines; empty exactly when all taps are valid.
    public var diagnostics: [Diagnostic]
}

/// The canonical text of taps.
enum MetadataWriter {
    static func tap(_ tap: Tap, indent: String = "", namespace: String? = nil) -> String {
        var attributes: [(String, String?)] = [("xmlns", namespace), ("name", tap.name.text)]
        var children: [String] = []
        switch tap.destination {
        case .named(let name):
            if name == tap.name { attributes.removeLast() }
            attributes.append(("to", name.text))
        case .inline(let target):
            children.append("<destination>\(self.target(target))</destination>")
        }
        attributes.append(("direction", tap.direction == .both ? nil : tap.direction.rawValue))
        attributes.append(("snaplen", tap.snaplen?.description))
        switch tap.sampling {
        case .packets(let count): attributes.append(("sample", "1/\(count)"))
        case .flows(let count): attributes.append(("sample-flows", "1/\(count)"))
        case nil: break
        }
        attributes.append(("rate", tap.rate?.text))
        attributes.append(("burst", tap.rate?.burstText))
        attributes.append(("required", tap.required ? "yes" : nil))
        attributes.append(("enabled", tap.enabled ? nil : "no"))
        attributes.append(("once", tap.once ? "yes" : nil))

        let selectors = tap.selectors.map { selector in
            element(
                "interface",
                [
                    ("mac", selector.mac?.description), ("alias", selector.alias), ("bridge", selector.bridge),
                    ("network", selector.network), ("device", selector.device),
                ])
        }
        children = selectors + children
        if let filter = tap.filter { children.append("<filter>\(escaped(filter))</filter>") }
        return element("tap", attributes, children, indent: indent)
    }

    private static func target(_ target: DestinationTarget) -> String {
        switch target {
        case .interface(let name, let allowShared):
            return element("interface", [("name", name), ("allow-shared", allowShared ? "yes" : nil)])
        case .monitor(let name):
            return element("monitor", [("name", name)])
        case .domain(let name, let uuid, let mac, let alias):
            return element("domain", [("name", name), ("uuid", uuid?.description), ("mac", mac?.description), ("alias", alias)])
        case .tunnel(let tunnel):
            let number = tunnel.kind.identifierName
            return element(
                tunnel.kind.rawValue,
                [
                    ("remote", tunnel.remote), (number, tunnel.identifier.map(String.init)),
                    ("\(number)-inbound", tunnel.inboundIdentifier.map(String.init)),
                    ("\(number)-outbound", tunnel.outboundIdentifier.map(String.init)),
                    ("port", tunnel.port == tunnel.kind.defaultPort ? nil : tunnel.port.map(String.init)),
                    ("version", tunnel.version == 1 ? nil : tunnel.version.map(String.init)), ("source", tunnel.source),
                    ("device", tunnel.device),
                    ("ttl", tunnel.ttl.map(String.init)), ("dscp", tunnel.dscp.map(String.init)),
                    ("oversize", tunnel.oversize == .fragment ? nil : tunnel.oversize.rawValue),
                ])
        }
    }

    private static func element(
        _ name: String, _ attributes: [(String, String?)], _ children: [String] = [], indent: String = ""
    ) -> String {
        var text = "\(indent)<\(name)"
        for (name, value) in attributes {
            if let value { text += " \(name)=\"\(escaped(value))\"" }
        }
        if children.isEmpty { return text + "/>" }
        return text + ">\n" + children.map { "\(indent)  \($0)\n" }.joined() + "\(indent)</\(name)>"
    }

    /// See `MetadataXML.escaped`.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "\t", "\n", "\r": result += "&#\(scalar.value);"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
