// SPDX-License-Identifier: LGPL-2.1-or-later

/// What TCP from guest to guest reached with one variant.
struct GuestResult: Codable {
    let variant: String
    let title: String
    /// Gigabits a second, of each sample that counts, and of the untapped samples around it.
    var gigabits: [Double] = []
    var beside: [Double] = []
    /// Copies that arrived, a second.
    var copies: [Double] = []
    var objections: [String] = []
    var error: String?

    init(_ variant: GuestVariant) {
        self.variant = variant.name
        title = variant.title
    }

    var ratio: Quartiles? { Quartiles(zip(gigabits, beside).map { $0 / $1 }) }
}
