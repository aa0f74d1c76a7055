// SPDX-License-Identifier: LGPL-2.1-or-later

/// What a file is, told by its outermost element.
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
