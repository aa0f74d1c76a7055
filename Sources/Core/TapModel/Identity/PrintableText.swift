// SPDX-License-Identifier: LGPL-2.1-or-later

extension String {
    /// The text with everything escaped that could act on a terminal, hide, or reorder what stands around it.
    ///
    /// libvirt accepts domain names with control and bidirectional characters; whatever came from XML goes through
    /// here once, where people read it. Escapes are `\u{…}`, and `\\` for a backslash, so that nothing can pose as one.
    public var printable: String { escaped { $0 == "\\" ? "\\\\" : nil } }

    /// The same for a line that is put together of printable parts and others: backslashes stay, so that nothing is
    /// escaped twice.
    public var inert: String { escaped { _ in nil } }

    private func escaped(_ special: (Unicode.Scalar) -> String?) -> String {
        var text = ""
        for scalar in unicodeScalars {
            if let known = special(scalar) {
                text += known
            } else if scalar.actsOnText {
                text += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}

extension Unicode.Scalar {
    fileprivate var actsOnText: Bool {
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned: true
        default: properties.isDefaultIgnorableCodePoint || (properties.isWhitespace && self != " ")
        }
    }
}
