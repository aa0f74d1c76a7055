// SPDX-License-Identifier: LGPL-2.1-or-later

/// One expression and one frame: how long each of the programs takes for it.
struct FilterResult: Codable {
    enum Program: String, Codable, CaseIterable, CodingKeyRepresentable {
        /// Returns 0 at once: what running any program costs.
        case empty
        case translated
        case c
        /// In C, and right on frames whose headers are not in the buffer's linear part, as the translated one is.
        case carefulC
    }

    var expression: String
    var matches: Bool
    /// Nanoseconds of one run, one for each round.
    var nanoseconds: [Program: [Double]] = [:]
    /// The answer of one program is not that of another.
    var objection: String?
    var error: String?

    func median(_ program: Program) -> Double? { nanoseconds[program].flatMap { Quartiles($0)?.median } }

    /// Of the translated one to another, each less what an empty program takes. The median is that of the medians, since
    /// differences of a few nanoseconds are noisy one by one.
    func ratio(to other: Program) -> Quartiles? {
        guard objection == nil, let translated = median(.translated), let peer = median(other), let empty = median(.empty), peer > empty
        else { return nil }
        let rounds = zip(nanoseconds[.translated] ?? [], zip(nanoseconds[other] ?? [], nanoseconds[.empty] ?? []))
        var ratio = Quartiles(rounds.compactMap { $1.0 > $1.1 ? ($0 - $1.1) / ($1.0 - $1.1) : nil })
        ratio?.median = (translated - empty) / (peer - empty)
        return ratio
    }
}
