// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibxml2

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
            case VTXML_UTF16: "the document is in UTF-16; write it in UTF-8"
            case VTXML_NUL: "there is a NUL byte, which XML cannot carry"
            case VTXML_NOT_UTF8: "there are bytes that are not UTF-8"
            case VTXML_ENCODING: "the XML declaration says that the document is in \(detail); write it in UTF-8"
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
