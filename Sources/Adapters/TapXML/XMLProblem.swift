// SPDX-License-Identifier: LGPL-2.1-or-later

/// A document that cannot be used, with everything that is wrong in it, in the order of the document.
public struct XMLProblem: Error, Hashable, Sendable {
    /// Never empty. At most `Diagnostics.maximum`; the last one then says that there are more.
    public var diagnostics: [Diagnostic]

    public init(_ diagnostics: [Diagnostic]) { self.diagnostics = diagnostics.map(\.printable) }
}

extension XMLProblem: CustomStringConvertible {
    public var description: String { diagnostics.map(\.description).joined(separator: "\n") }
}
