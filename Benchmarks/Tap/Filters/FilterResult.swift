// SPDX-License-Identifier: LGPL-2.1-or-later

/// One expression and one frame: how long each of the programs takes for it.
struct FilterResult: Codable {
    enum Program: String, Codable, CaseIterable, CodingKeyRepresentable {
        /// Returns 0 at once: what running and calling any filter costs.
        case empty
        case translated
        case c
        /// In C, and right on frames whose headers are not in the buffer's linear part, as the translated one is.
        case carefulC
    }

    var expression: String
    var matches: Bool
    /// Nanoseconds of one call, one for each round.
    var nanoseconds: [Program: [Double]] = [:]
    /// The answer of one program is not that of another.
    var objection: String?
    var error: String?

    func median(_ program: Program) -> Double? { nanoseconds[program].flatMap { Quartiles($0)?.median } }

    /// Of the translated one to another, each less what an empty filter takes in the same round.
    func ratio(to other: Program) -> Quartiles? {
        guard objection == nil else { return nil }
        let rounds = zip(nanoseconds[.translated] ?? [], zip(nanoseconds[other] ?? [], nanoseconds[.empty] ?? []))
        return Quartiles(rounds.compactMap { $1.0 > $1.1 ? ($0 - $1.1) / ($1.0 - $1.1) : nil })
    }
}
