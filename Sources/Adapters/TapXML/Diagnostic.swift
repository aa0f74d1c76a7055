// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// One thing that is wrong in a document: where, what, and what was probably meant. Printable, as this module hands it out.
public struct Diagnostic: Hashable, Sendable {
    /// The place as an XPath (`/virt-tap/destination[2]/vxlan/@vni`); empty when the document is no XML at all.
    public var path: String
    /// The line on which the element's start tag ends, from 1; `nil` when it is not known. It means nothing in XML
    /// that libvirt wrote.
    public var line: Int?
    /// What is wrong and what to write instead. Text from the document is quoted in it.
    public var message: String
    /// The nearest valid name or value, when there is a near one.
    public var suggestion: String?

    public init(path: String, line: Int? = nil, message: String, suggestion: String? = nil) {
        self.path = path
        self.line = line
        self.message = message
        self.suggestion = suggestion
    }

    /// With all text from the document escaped, as people read it.
    var printable: Diagnostic {
        Diagnostic(path: path.printable, line: line, message: message.printable, suggestion: suggestion?.printable)
    }

    /// The sentence without the line, as the status document has it.
    public var withoutLine: String {
        var text = path.isEmpty ? message : "\(path): \(message)"
        if let suggestion { text += "; did you mean \"\(suggestion)\"?" }
        return text
    }
}

extension Diagnostic: CustomStringConvertible {
    public var description: String {
        if let line { return "line \(line): \(withoutLine)" }
        return withoutLine
    }
}

/// Collects what is wrong while a document is read, so that an operator can mend all of it at once.
final class Diagnostics {
    /// A document of a hundred thousand unknown elements gets no hundred thousand sentences.
    static let maximum = 50

    private(set) var list: [Diagnostic] = []
    private(set) var reasons: Set<Reason> = []
    /// All that was reported, listed or not.
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// Whether another sentence would be listed; what is costly to word can be left out otherwise.
    var hasRoom: Bool { list.count < Self.maximum }

    func add(_ diagnostic: Diagnostic, reason: Reason = .invalidMetadata) {
        count += 1
        reasons.insert(reason)
        if hasRoom { list.append(diagnostic) }
    }

    /// Takes over what was found in a part of the document.
    func add(all other: Diagnostics) {
        list += other.list.prefix(max(0, Self.maximum - list.count))
        count += other.count
        reasons.formUnion(other.reasons)
    }

    /// What to hand out: the list, and its last line when something did not fit.
    var all: [Diagnostic] { complete(list) }

    /// The same in the order of the document.
    var byLine: [Diagnostic] {
        complete(
            list.enumerated().sorted { ($0.element.line ?? 0, $0.offset) < ($1.element.line ?? 0, $1.offset) }.map(\.element))
    }

    private func complete(_ list: [Diagnostic]) -> [Diagnostic] {
        guard count > list.count else { return list }
        return list + [Diagnostic(path: "", message: "\(count - list.count) more problems are not listed")]
    }
}

/// What a file is, which its outermost element says.
public enum DocumentKind: Sendable, CaseIterable {
    /// `<virt-tap>`, for `ConfigurationXML`.
    case configuration
    /// `<tap>` or `<taps>`, or anything else in their namespace, for `MetadataXML`.
    case metadata
    /// `<domain>`, for `DomainXML`.
    case domain

    /// - Returns: `nil` for any other document.
    /// - Throws: `XMLProblem` when it is no XML.
    public static func detect(_ bytes: [UInt8]) throws(XMLProblem) -> DocumentKind? {
        guard let root = try DocumentParser.parse(bytes, limits: .domain, interest: { _, ancestors in ancestors.isEmpty }) else {
            return nil
        }
        if root.uri == MetadataXML.namespace { return .metadata }
        switch root.name {
        case "virt-tap": return .configuration
        case "tap", "taps": return .metadata
        case "domain": return .domain
        default: return nil
        }
    }
}

/// A document that cannot be used, with everything that is wrong in it, in the order of the document.
public struct XMLProblem: Error, Hashable, Sendable {
    /// Never empty. At most `Diagnostics.maximum`; the last one then says that there are more.
    public var diagnostics: [Diagnostic]

    public init(_ diagnostics: [Diagnostic]) { self.diagnostics = diagnostics.map(\.printable) }
}

extension XMLProblem: CustomStringConvertible {
    public var description: String { diagnostics.map(\.description).joined(separator: "\n") }
}

/// Text from a document made short enough for a message.
enum Quotation {
    private static let maximumLength = 64

    /// In double quotes, cut.
    static func quoted(_ text: String) -> String { "\"\(shortened(text))\"" }

    /// Cut after 64 characters.
    static func shortened(_ text: String) -> String {
        let head = text.unicodeScalars.prefix(maximumLength)
        return head.endIndex == text.unicodeScalars.endIndex ? text : "\(String(head))…"
    }
}
