// SPDX-License-Identifier: LGPL-2.1-or-later

/// Why a value is not one, without saying where it stands.
struct ValueProblem: Error, Hashable, Sendable {
    /// What is wrong and what to write instead.
    var message: String
    /// What was probably meant.
    var suggestion: String?

    init(_ message: String, suggestion: String? = nil) {
        self.message = message
        self.suggestion = suggestion
    }
}
