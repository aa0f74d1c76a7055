// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// One thing that is wrong in a document: where, what, and what was probably meant. Printable, as this module hands it out.
public struct Diagnostic: Hashable, Sendable {
    /// The place as an XPath (`/virt-tap/destination[2]/vxlan/@vni`); empty when the document is no XML at all.
    public var path: String
    /// The line on which the element's start tag ends, from 1; `nil` when it is not known. It means nothing in XML
    /// that libvirt wrote.
    public var line: Int?
    /// What is wrong and what to write instead. Text taken from the document is quoted in it.
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
