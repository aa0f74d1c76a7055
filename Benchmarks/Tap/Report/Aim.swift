// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// What ought to be reached, as a ratio within one run, and what was.
struct Aim: Codable {
    var what: String
    var most: Double
    /// The median, and the quartiles where there are any.
    var reached: Quartiles?

    /// `nil`: it was not measured, or does not count.
    var isMet: Bool? { reached.map { $0.median <= most } }

    var verdict: String {
        guard let reached, let isMet else { return "not measured" }
        if isMet { return reached.upper <= most ? "met" : "met, within the noise" }
        let excess = String(format: "by %.3f", reached.median - most)
        return reached.lower > most ? "missed \(excess)" : "missed \(excess), within the noise"
    }
}
