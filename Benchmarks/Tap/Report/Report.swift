// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// Everything that one run measured.
struct Report: Codable {
    enum Unit: String, Codable {
        case nanoseconds = "ns"
        case instructions
    }

    var machine: Machine
    var unit: Unit
    /// Whether ksoftirqd's time is in the figures.
    var deferredWorkIsSeen: Bool
    var paths: [VariantResult] = []
    var filters: [FilterResult] = []
    var chains: [VariantResult] = []
    var guests: [GuestResult] = []

    init(machine: Machine, unit: Unit, deferredWorkIsSeen: Bool) {
        self.machine = machine
        self.unit = unit
        self.deferredWorkIsSeen = deferredWorkIsSeen
    }

    func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return try encoder.encode(self)
    }
}
