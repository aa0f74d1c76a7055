// SPDX-License-Identifier: LGPL-2.1-or-later

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
