// SPDX-License-Identifier: LGPL-2.1-or-later

/// Names in commands that people copy.
enum CommandWord {
    /// Only a name that a shell takes as it is may stand there.
    static func domain(_ name: String) -> String {
        let isPlain = name.unicodeScalars.allSatisfy {
            $0.isASCII && ($0.properties.isAlphabetic || $0.properties.numericType != nil || "-_.".unicodeScalars.contains($0))
        }
        return isPlain && !name.hasPrefix("-") && !name.isEmpty ? name : "DOMAIN"
    }
}
