// SPDX-License-Identifier: LGPL-2.1-or-later

/// Text from a document made fit to be read in a message: short, on one line, and without power over a terminal.
enum Quotation {
    private static let maximumLength = 64

    /// In double quotes, escaped and shortened.
    static func quoted(_ text: String) -> String { "\"\(shortened(text))\"" }

    /// Escaped, and cut after 64 characters.
    static func shortened(_ text: String) -> String {
        let scalars = text.unicodeScalars
        guard let end = scalars.index(scalars.startIndex, offsetBy: maximumLength, limitedBy: scalars.endIndex), end != scalars.endIndex
        else { return escaped(text) }
        return escaped(String(scalars[..<end])) + "…"
    }

    /// Controls, formatting characters (bidirectional overrides among them) and line separators as `\u{…}`.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
                result += "\\u{\(String(scalar.value, radix: 16))}"
            default:
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
