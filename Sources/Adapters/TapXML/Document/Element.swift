// SPDX-License-Identifier: LGPL-2.1-or-later

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
