// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import TapModel

/// Swift's half of bpf/tap.h: how the maps are laid out. `ProgramObject` compares it with the object before it loads.
enum MapLayout {
    /// What a map is like.
    struct Shape {
        /// What bpftool calls the map: at most 15 characters.
        var name: String
        /// What it is called in bpf/.
        var variable: String
        var valueSize: UInt32
        var entries: UInt32
        var isPerCPU = false

        var type: bpf_map_type { isPerCPU ? BPF_MAP_TYPE_PERCPU_ARRAY : BPF_MAP_TYPE_ARRAY }

        func fits(_ info: bpf_map_info) -> Bool {
            info.type == type.rawValue && info.value_size == valueSize && info.max_entries == entries
        }

        func make(_ kernel: Kernel) throws -> KernelObject {
            try kernel.createArray(name, valueSize: valueSize, entries: entries, perCPU: isPerCPU)
        }
    }

    /// The version in the pins' path: another layout of the pins gets another number. Maps of another shape are made anew.
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
    static let alreadyCopied = 6
    /// For one direction; inbound's come first in the map.
    static let countersPerDirection = 7
    /// One attachment's.
    static let counters = Shape(
        name: "virt_tap_counts", variable: "tap_counters", valueSize: counterSize, entries: UInt32(2 * countersPerDirection), isPerCPU: true
    )
    /// Until when what one tap copied is paid for; all its attachments share it.
    static let rate = Shape(name: "virt_tap_rate", variable: "tap_rate", valueSize: 8, entries: 1)

    /// TAP_DESTINATIONS: how many destinations a host can have at a time.
    static let destinationSlots: UInt32 = 1_024
    /// struct tap_destination: ifindex, kind, flags, the tunnel's number, struct tap_limit, label.
    static let destinations = Shape(name: "virt_tap_dests", variable: "tap_dests", valueSize: 136, entries: destinationSlots)
    static let kindOffset = 4
    static let flagsOffset = 8
    /// TAP_DESTINATION_RECEIVES.
    static let isReceiving: UInt32 = 1
    /// TAP_DESTINATION_WRAPS.
    static let isWrapping: UInt32 = 2
    /// TAP_DESTINATION_SPLITS
    static let isSplitting: UInt32 = 4
    static let tunnelOffset = 12
    static let limitOffset = 16
    static let labelOffset = 40
    /// enum tap_destination_counter.
    enum DestinationCounter: Int, CaseIterable {
        case given, errors, rateLimited, fragmented, truncated, oversized, spared, wanted
        /// No count: nanoseconds since boot, in the place of the packets.
        case lastError
    }
    static let countersPerDestination = DestinationCounter.allCases.count
    static let destinationCounters = Shape(
        name: "virt_tap_dcount", variable: "tap_dest_counts", valueSize: counterSize,
        entries: destinationSlots * UInt32(countersPerDestination), isPerCPU: true)
    static let destinationRates = Shape(name: "virt_tap_drates", variable: "tap_dest_rates", valueSize: 8, entries: destinationSlots)
    /// struct tap_tunnel: two bytes unused, TAP_HEADER_SIZE bytes of headers, then numbers.
    static let tunnels = Shape(name: "virt_tap_tunnel", variable: "tap_tunnels", valueSize: 128, entries: destinationSlots)
    static let tunnelHeaderSize = 78
    static let clockOffsetOffset = 112
    /// Of the next copy to each destination.
    static let sequences = Shape(name: "virt_tap_seq", variable: "tap_sequences", valueSize: 4, entries: destinationSlots)
    /// Where checksums are made. The relay's own.
    static let sums = Shape(name: "virt_tap_sums", variable: "tap_sums", valueSize: 512, entries: 1, isPerCPU: true)
    /// struct tap_relay: an ifindex.
    static let hops = Shape(name: "virt_tap_hops", variable: "tap_hops", valueSize: 4, entries: 1)
    /// struct tap_backlog.
    static let backlogs = Shape(name: "virt_tap_queues", variable: "tap_backlogs", valueSize: 64, entries: 1_024)
    /// struct tap_last_copy.
    static let lastCopies = Shape(
        name: "virt_tap_last", variable: "tap_last", valueSize: 64, entries: destinationSlots, isPerCPU: true)

    static func counterBase(_ direction: Direction) -> UInt32 {
        direction == .inbound ? 0 : UInt32(countersPerDirection)
    }
}
