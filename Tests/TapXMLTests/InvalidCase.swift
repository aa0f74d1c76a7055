// SPDX-License-Identifier: LGPL-2.1-or-later

import Testing

/// A document with one thing wrong in it, and what must be said about it.
struct InvalidCase: CustomTestStringConvertible, Sendable {
    var xml: String
    var path: String
    /// A part of the message.
    var says: String
    var suggests: String?
    /// Why the schema accepts the document all the same; `nil`: it does not.
    var beyondSchema: String?

    init(_ xml: String, at path: String, says: String, suggests: String? = nil, beyondSchema: String? = nil) {
        self.xml = xml
        self.path = path
        self.says = says
        self.suggests = suggests
        self.beyondSchema = beyondSchema
    }

    var testDescription: String { String(xml.prefix(160)) }
}
