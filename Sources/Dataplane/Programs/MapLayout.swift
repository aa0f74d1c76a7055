// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// Swift's half of bpf/tap.h: how the maps are laid out. `TapProgram` compares it with the object before it loads.
enum MapLayout {
    /// What bpftool calls the maps: at most 15 characters.
    static let countersName = "virt_tap_counts"
    static let destinationsName = "virt_tap_dests"
    static let destinationCountersName = "virt_tap_dcount"

    /// The version in the pins' path: another layout gets another number.
    static let version = 1

    /// struct tap_count: two 64-bit numbers of the machine's byte order.
    static let counterSize: UInt32 = 16
    /// enum tap_counter.
    static let copied = 0
    static let filtered = 1
    static let sampledOut = 2
    static let rateLimited = 3
    static let errors = 4
    static let marked = 5
    /// For one direction; inbound's come first in the map.
    static let countersPerDirection = 6
    static let counters = UInt32(2 * countersPerDirection)

    /// TAP_DESTINATIONS: how many destinations a host can have at a time.
    static let destinations: UInt32 = 1_024
    /// struct tap_destination: ifindex, kind, label.
    static let destinationSize: UInt32 = 128
    static let labelOffset = 8
    /// enum tap_destination_counter: sent, errors.
    static let countersPerDestination = 2

    static func counterBase(_ direction: Direction) -> UInt32 {
        direction == .inbound ? 0 : UInt32(countersPerDirection)
    }
}
