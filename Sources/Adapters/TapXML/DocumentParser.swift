// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibxml2
import TapModel

/// Bytes to elements, within limits.
enum DocumentParser {
    /// Parses a whole document.
    ///
    /// - Parameter interest: which elements to keep; the root is asked about too.
    /// - Returns: The root; `nil` when it was not kept.
    static func parse(
        _ bytes: [UInt8], limits: DocumentLimits, interest: @escaping TreeBuilder.Interest = { _, _ in true }
    ) throws(XMLProblem) -> Element? {
        guard bytes.count <= limits.size else {
            throw XMLProblem([
                Diagnostic(path: "", message: "the document has \(bytes.count) bytes; at most \(limits.sizeInWords) are read")
            ])
        }
        let builder = TreeBuilder(interest: interest)
        var problem = vtxml_problem()
        var bounds = vtxml_limits(
            depth: limits.depth, elements: limits.elements, attributes: limits.attributes, namespaces: limits.namespaces,
            namespace_errors: limits.checksNamespaces ? 1 : 0)
        var handler = vtxml_handler(
            context: Unmanaged.passUnretained(builder).toOpaque(), start: startElement, text: appendText, end: endElement)
        let code = withExtendedLifetime(builder) {
            bytes.withUnsafeBytes { vtxml_parse($0.baseAddress, $0.count, &bounds, &handler, &problem) }
        }
        guard code == VTXML_OK else { throw XMLProblem([describe(&problem, limits)]) }
        return builder.root
    }

    /// Parses a whole document and keeps all of it.
    static func parseAll(_ bytes: [UInt8], limits: DocumentLimits) throws(XMLProblem) -> Element {
        guard let root = try parse(bytes, limits: limits) else {
            throw XMLProblem([Diagnostic(path: "", message: "the document has no element")])
        }
        return root
    }

    private static func describe(_ problem: inout vtxml_problem, _ limits: DocumentLimits) -> Diagnostic {
        let detail = withUnsafeBytes(of: &problem.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let message =
            switch problem.code {
            case VTXML_EMPTY: "the document is empty"
            case VTXML_UTF16: "the document is in UTF-16: convert it to UTF-8"
            case VTXML_NUL: "there is a NUL byte, which XML cannot carry"
            case VTXML_NOT_UTF8: "there are bytes that are not UTF-8"
            case VTXML_ENCODING: "the XML declaration says that the document is in \(detail): convert it to UTF-8"
            case VTXML_DOCTYPE: "there is a document type declaration (<!DOCTYPE …>); remove it, since neither DTDs nor entities are read"
            case VTXML_TOO_DEEP: "elements are nested deeper than \(limits.depth) levels"
            case VTXML_TOO_MANY_ELEMENTS: "there are more than \(limits.elements) elements"
            case VTXML_TOO_MANY_ATTRIBUTES: "an element has more than \(limits.attributes) attributes"
            case VTXML_TOO_MANY_NAMESPACES: "there are more than \(limits.namespaces) namespace declarations in scope"
            case VTXML_NO_MEMORY: "there is not enough memory to read the document"
            default: "not well-formed XML: \(detail)"
            }
        return Diagnostic(path: "", line: problem.line == 0 ? nil : Int(problem.line), message: message)
    }
}

// Called by vtxml_parse, on the thread and within the call of `DocumentParser.parse`, which keeps the builder alive.

private func builder(_ context: UnsafeMutableRawPointer?) -> TreeBuilder? {
    context.map { Unmanaged<TreeBuilder>.fromOpaque($0).takeUnretainedValue() }
}

private func startElement(
    _ context: UnsafeMutableRawPointer?, _ name: UnsafePointer<CChar>?, _ prefix: UnsafePointer<CChar>?, _ uri: UnsafePointer<CChar>?,
    _ attributes: UnsafePointer<vtxml_attribute>?, _ count: Int, _ line: UInt32
) -> CInt {
    let attributes = UnsafeBufferPointer(start: attributes, count: count).map { attribute in
        Element.Attribute(
            name: attribute.name.map { String(cString: $0) } ?? "", prefix: attribute.prefix.map { String(cString: $0) },
            value: String(decoding: UnsafeRawBufferPointer(start: attribute.value, count: attribute.length), as: UTF8.self))
    }
    let element = Element(
        name: name.map { String(cString: $0) } ?? "", prefix: prefix.map { String(cString: $0) }, uri: uri.map { String(cString: $0) },
        attributes: attributes, line: Int(line))
    return builder(context)?.start(element) == true ? 0 : 1
}

private func appendText(_ context: UnsafeMutableRawPointer?, _ bytes: UnsafePointer<CChar>?, _ length: Int) {
    builder(context)?.append(UnsafeRawBufferPointer(start: bytes, count: length))
}

private func endElement(_ context: UnsafeMutableRawPointer?) {
    builder(context)?.end()
}

/// Builds elements from the parser's callbacks, and only those that somebody wants: a domain's XML may hold 16 MiB of
/// other people's metadata.
final class TreeBuilder {
    /// Whether to keep an element. Its ancestors, outermost first, have been kept; children of skipped ones are never asked for.
    typealias Interest = (_ element: Element, _ ancestors: [Element]) -> Bool

    private let interest: Interest
    private var open: [Element] = []
    private var text: [[UInt8]] = []
    private(set) var root: Element?

    init(interest: @escaping Interest) { self.interest = interest }

    func start(_ element: Element) -> Bool {
        guard interest(element, open) else { return false }
        open.append(element)
        text.append([])
        return true
    }

    func append(_ bytes: UnsafeRawBufferPointer) {
        guard !text.isEmpty else { return }
        text[text.count - 1].append(contentsOf: bytes)
    }

    func end() {
        guard var element = open.popLast(), let bytes = text.popLast() else { return }
        element.text = String(decoding: bytes, as: UTF8.self)
        Self.number(&element.children)
        if open.isEmpty {
            root = element
        } else {
            open[open.count - 1].children.append(element)
        }
    }

    private static func number(_ children: inout [Element]) {
        guard children.count > 1 else { return }
        var counts: [String: Int] = [:]
        for index in children.indices {
            counts[children[index].qualifiedName, default: 0] += 1
            children[index].position = counts[children[index].qualifiedName, default: 1]
        }
        for index in children.indices { children[index].isOnly = counts[children[index].qualifiedName] == 1 }
    }
}

/// One element of a document, with the parts of it that were kept.
struct Element {
    struct Attribute {
        var name: String
        /// `nil`: the attribute has no prefix, as all of ours.
        var prefix: String?
        var value: String
    }

    var name: String
    var prefix: String?
    /// `nil`: in no namespace.
    var uri: String?
    var attributes: [Attribute]
    var children: [Element] = []
    /// All text directly in the element, CDATA included, in one piece.
    var text = ""
    /// The line on which the start tag ends; 0: not known.
    var line: Int
    /// Which of its siblings of this name it is, from 1, skipped ones not counted.
    var position = 1
    /// Whether it is the only one of this name.
    var isOnly = true

    /// How the element is written, with its prefix.
    var qualifiedName: String { prefix.map { "\($0):\(name)" } ?? name }

    /// Its step in a path: `tap`, or `tap[2]` where there are several.
    var step: String { isOnly ? Quotation.shortened(qualifiedName) : "\(Quotation.shortened(qualifiedName))[\(position)]" }

    func attribute(_ name: String) -> String? {
        attributes.first { $0.name == name && $0.prefix == nil }?.value
    }

    func child(_ name: String) -> Element? {
        children.first { $0.name == name && $0.uri == uri }
    }
}

/// Which parts of a domain's XML are kept: name, UUID, interfaces, and our own metadata.
struct DomainInterest {
    private var interfaces = 0
    private var metadata = 0

    var hasTooManyInterfaces: Bool { interfaces > DomainXML.maximumInterfaces }
    var hasTooMuchMetadata: Bool { metadata > DomainXML.maximumMetadata }

    mutating func keeps(_ element: Element, ancestors: [Element]) -> Bool {
        switch ancestors.count {
        case 0:
            return element.name == "domain" && element.uri == nil
        case 1:
            return element.uri == nil && ["name", "uuid", "metadata", "devices"].contains(element.name)
        default:
            return ancestors[1].name == "devices" ? keepsDevice(element, ancestors) : keepsMetadata(element, ancestors)
        }
    }

    private mutating func keepsDevice(_ element: Element, _ ancestors: [Element]) -> Bool {
        guard element.uri == nil else { return false }
        switch ancestors.count {
        case 2:
            guard element.name == "interface" else { return false }
            interfaces += 1
            return !hasTooManyInterfaces
        case 3: return ["mac", "source", "target", "alias", "actual", "backend"].contains(element.name)
        case 4: return ancestors[3].name == "actual" && element.name == "source"
        default: return false
        }
    }

    private mutating func keepsMetadata(_ element: Element, _ ancestors: [Element]) -> Bool {
        guard ancestors[1].name == "metadata", ancestors.count > 2 || element.uri == MetadataXML.namespace else { return false }
        metadata += 1
        return !hasTooMuchMetadata
    }
}

/// How much of a document is read: whoever may define a domain chooses its XML, and root reads it.
struct DocumentLimits {
    /// Bytes.
    var size: Int
    /// Elements in the whole document, those that are not kept included.
    var elements: Int
    /// Elements inside one another. libxml2 itself stops at 256.
    var depth = 200
    /// Attributes and namespace declarations of one element.
    var attributes = 256
    /// Namespace declarations in scope.
    var namespaces = 512
    /// Whether a prefix without a declaration is an error wherever it stands. Within our elements it always is.
    var checksNamespaces: Bool

    static let domain = DocumentLimits(size: DomainSnapshot.maximumXML, elements: 500_000, checksNamespaces: false)
    static let configuration = DocumentLimits(size: 1 << 20, elements: 20_000, checksNamespaces: true)
    static let metadata = DocumentLimits(size: 1 << 20, elements: 20_000, checksNamespaces: true)

    var sizeInWords: String { size >= 1 << 20 ? "\(size >> 20) MiB" : "\(size >> 10) KiB" }
}
