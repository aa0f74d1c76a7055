// SPDX-License-Identifier: LGPL-2.1-or-later

/// One way to copy what a guest sends, or to decide not to.
struct Variant {
    enum Kind: String, Codable {
        case untapped
        case ours
        /// What one would use without virt-tap.
        case peer
        /// The least that anybody can do: tells where the time goes.
        case floor
    }

    /// As `--variants` names it.
    let name: String
    let title: String
    let kind: Kind
    let expected: CopyExpectation
    let attach: (any ForwardingPath) throws -> any Attached
}
