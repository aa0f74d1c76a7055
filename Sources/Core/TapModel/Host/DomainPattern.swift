// SPDX-License-Identifier: LGPL-2.1-or-later

/// An `<allow>`: a domain by UUID, or by a name in which `*` stands for any characters and `?` for one.
public enum DomainPattern: Hashable, Sendable {
    case uuid(DomainUUID)
    case name(String)

    public func matches(_ domain: DomainDefinition) -> Bool {
        switch self {
        case .uuid(let uuid): uuid == domain.uuid
        case .name(let pattern): Self.glob(Array(pattern.unicodeScalars), Array(domain.name.unicodeScalars))
        }
    }

    /// Linear in pattern times name: on a mismatch only the last star is tried again, never an earlier one.
    private static func glob(_ pattern: [Unicode.Scalar], _ text: [Unicode.Scalar]) -> Bool {
        var at = 0
        var position = 0
        var star: (pattern: Int, text: Int)?
        while position < text.count {
            if at < pattern.count, pattern[at] == "*" {
                star = (at, position)
                at += 1
            } else if at < pattern.count, pattern[at] == "?" || pattern[at] == text[position] {
                at += 1
                position += 1
            } else if let last = star {
                star = (last.pattern, last.text + 1)
                at = last.pattern + 1
                position = last.text + 1
            } else {
                return false
            }
        }
        return pattern[at...].allSatisfy { $0 == "*" }
    }
}
