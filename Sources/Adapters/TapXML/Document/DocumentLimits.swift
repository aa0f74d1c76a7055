// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

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
