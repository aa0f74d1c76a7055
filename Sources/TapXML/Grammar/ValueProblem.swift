// SPDX-License-Identifier: LGPL-2.1-or-later

/// Why a value is not one, without saying where it stands.
public struct ValueProblem: Error, Hashable, Sendable {
    /// What is wrong and what to write instead.
    public var message: String
    /// What was probably meant.
    public var suggestion: String?

    public init(_ message: String, suggestion: String? = nil) {
        self.message = message
        self.suggestion = suggestion
    }
}

extension ValueProblem: CustomStringConvertible {
    public var description: String { suggestion.map { "\(message); did you mean \"\($0)\"?" } ?? message }
}
