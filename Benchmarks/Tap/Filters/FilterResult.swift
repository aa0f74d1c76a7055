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

    /// Of the translated one to another, each less what an empty program takes: medians, since differences of a few
    /// nanoseconds are too noisy one by one.
    func ratio(to other: Program) -> Double? {
        guard objection == nil, let translated = median(.translated), let peer = median(other), let empty = median(.empty) else {
            return nil
        }
        return (translated - empty) / max(peer - empty, 0.1)
    }

    /// With the cost of running any program in both.
    func grossRatio(to other: Program) -> Quartiles? {
        guard objection == nil, let translated = nanoseconds[.translated], let peer = nanoseconds[other] else { return nil }
        return Quartiles(zip(translated, peer).map { $0 / $1 })
    }
}
