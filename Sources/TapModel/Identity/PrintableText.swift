// SPDX-License-Identifier: LGPL-2.1-or-later

extension String {
    /// The text with everything escaped that could act on a terminal, hide, or reorder what stands around it.
    ///
    /// libvirt accepts domain names with control and bidirectional characters; whatever came from XML goes through
    /// here before people read it. Escapes are `\u{…}`, and `\\` for a backslash, so that nothing can pose as one.
    public var printable: String {
        var text = ""
        for scalar in unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned:
                text += "\\u{\(String(scalar.value, radix: 16))}"
            default:
                if scalar == "\\" {
                    text += "\\\\"
                } else if scalar.properties.isDefaultIgnorableCodePoint || (scalar.properties.isWhitespace && scalar != " ") {
                    text += "\\u{\(String(scalar.value, radix: 16))}"
                } else {
                    text.unicodeScalars.append(scalar)
                }
            }
        }
        return text
    }
}
