// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// Everything that one run measured.
struct Report: Codable {
    var machine: Machine
    /// Whether ksoftirqd's time is in the figures.
    var deferredWorkIsSeen: Bool
    var paths: [VariantResult] = []
    var filters: [FilterResult] = []
    var chains: [VariantResult] = []
    var guests: [GuestResult] = []

    init(machine: Machine, deferredWorkIsSeen: Bool) {
        self.machine = machine
        self.deferredWorkIsSeen = deferredWorkIsSeen
    }

    func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return try encoder.encode(self)
    }
}
