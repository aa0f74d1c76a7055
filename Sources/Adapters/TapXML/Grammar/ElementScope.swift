// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// One element while it is read against its grammar; whatever does not fit is reported and reading goes on.
struct ElementScope {
    let element: Element
    let path: String
    let diagnostics: Diagnostics

    init(root element: Element, diagnostics: Diagnostics) {
        self.init(element: element, path: "/" + element.step, diagnostics: diagnostics)
    }

    init(element: Element, path: String, diagnostics: Diagnostics) {
        self.element = element
        self.path = path
        self.diagnostics = diagnostics
    }

    /// The same element with another place to report to.
    func reporting(to diagnostics: Diagnostics) -> ElementScope {
        ElementScope(element: element, path: path, diagnostics: diagnostics)
    }

    func report(_ message: String, suggestion: String? = nil, attribute: String? = nil, reason: Reason = .invalidMetadata) {
        let place = attribute.map { "\(path)/@\(Quotation.shortened($0))" } ?? path
        diagnostics.add(
            Diagnostic(path: place, line: element.line > 0 ? element.line : nil, message: message, suggestion: suggestion), reason: reason)
    }

    /// Reports every attribute, child and text that the grammar has no place for.
    ///
    /// - Parameter hints: Sentences for attributes that people write and that are not there for a reason.
    func allow(attributes: [String] = [], children: [String] = [], text: Bool = false, hints: [String: String] = [:]) {
        for attribute in element.attributes where attribute.prefix != nil || !attributes.contains(attribute.name) {
            let name = attribute.prefix.map { "\($0):\(attribute.name)" } ?? attribute.name
            if attribute.prefix != nil {
                report("an attribute of another namespace is not allowed here", attribute: name)
            } else if let hint = hints[name] {
                report(hint, attribute: name)
            } else {
                report(unknown("attribute", valid: attributes), suggestion: NearestName.of(name, among: attributes), attribute: name)
            }
        }
        for child in element.children where child.uri != element.uri || !children.contains(child.name) {
            guard diagnostics.hasRoom else {
                diagnostics.add(Diagnostic(path: path, message: ""))
                continue
            }
            let scope = ElementScope(element: child, path: "\(path)/\(child.step)", diagnostics: diagnostics)
            if child.uri != element.uri {
                scope.report("an element of another namespace is not allowed here")
            } else {
                scope.report(unknown("element", valid: children), suggestion: NearestName.of(child.name, among: children))
            }
        }
        if !text, element.text.unicodeScalars.contains(where: { !Self.isXMLSpace($0) }) { report("text is not allowed here") }
    }

    private func unknown(_ what: String, valid: [String]) -> String {
        let named = Quotation.shortened(element.name)
        return valid.isEmpty
            ? "unknown \(what): <\(named)> has none" : "unknown \(what): <\(named)> has \(valid.joined(separator: ", "))"
    }

    private static func isXMLSpace(_ scalar: Unicode.Scalar) -> Bool {
        scalar == " " || scalar == "\t" || scalar == "\n" || scalar == "\r"
    }

    /// An attribute's value; `nil` when it is absent, or reported because it is wrong.
    func value<Value>(_ name: String, _ parse: (String) throws(ValueProblem) -> Value) -> Value? {
        guard let text = element.attribute(name) else { return nil }
        do {
            return try parse(text)
        } catch {
            report(error.message, suggestion: error.suggestion, attribute: name)
            return nil
        }
    }

    /// As `value`, and reported when it is absent.
    func required<Value>(_ name: String, _ parse: (String) throws(ValueProblem) -> Value) -> Value? {
        if element.attribute(name) == nil { report("attribute \(name) is missing") }
        return value(name, parse)
    }

    /// The children of this name, in order.
    func children(_ name: String) -> [ElementScope] {
        element.children.filter { $0.name == name && $0.uri == element.uri }.map {
            ElementScope(element: $0, path: "\(path)/\($0.step)", diagnostics: diagnostics)
        }
    }

    /// The only child of this name; a second one is reported and not read.
    func child(_ name: String) -> ElementScope? {
        let all = children(name)
        if all.count > 1 { all[1].report("there may be only one <\(name)>") }
        return all.first
    }

    /// `rate` and `burst`.
    func rate() -> RateLimit? {
        let burst = element.attribute("burst")
        guard element.attribute("rate") != nil else {
            if burst != nil { report("burst has no effect without rate", attribute: "burst") }
            return nil
        }
        let limit = value("rate") { text throws(ValueProblem) in try TapValue.rate(text) }
        guard let limit, burst != nil else { return limit }
        return value("burst") { text throws(ValueProblem) in try TapValue.rate(limit.text, burst: text) }
    }
}
