// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import CTapABI

/// The maps as the daemon creates and pins them. What their values are is in `CTapABI`, which bpf/ is compiled with; `ProgramObject`
/// compares what an object declares with this before it loads it.
enum MapLayout {
    /// Everything about a map that must agree.
    struct Shape {
        /// What bpftool calls the map: at most 15 characters. Pinned maps keep theirs.
        var name: String
        /// What it is called in bpf/.
        var variable: String
        /// In bytes; of a per-CPU map one CPU's.
        var valueSize: UInt32
        var entries: UInt32
        var isPerCPU: Bool

        init<Value: BitwiseCopyable>(
            name: String, variable: String, of value: Value.Type, entries: some BinaryInteger, isPerCPU: Bool = false
        ) {
            self.name = name
            self.variable = variable
            valueSize = UInt32(MemoryLayout<Value>.size)
            self.entries = UInt32(entries)
            self.isPerCPU = isPerCPU
        }

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

    /// One attachment's: see `CounterMap`.
    static let counters = Shape(
        name: "virt_tap_counts", variable: "tap_counters", of: tap_count.self, entries: 2 * TAP_COUNTERS.rawValue, isPerCPU: true)
    /// Until when what one tap copied is paid for; all its attachments share it.
    static let rate = Shape(name: "virt_tap_rate", variable: "tap_rate", of: UInt64.self, entries: 1)

    /// How many destinations a host can have at a time.
    static let destinationSlots = UInt32(TAP_DESTINATIONS)
    static let destinations = Shape(
        name: "virt_tap_dests", variable: "tap_dests", of: tap_destination.self, entries: TAP_DESTINATIONS)
    static let destinationCounters = Shape(
        name: "virt_tap_dcount", variable: "tap_dest_counts", of: tap_count.self,
        entries: destinationSlots * TAP_DESTINATION_COUNTERS.rawValue, isPerCPU: true)
    /// Until when what each destination was given is paid for.
    static let destinationRates = Shape(
        name: "virt_tap_drates", variable: "tap_dest_rates", of: UInt64.self, entries: TAP_DESTINATIONS)
    static let tunnels = Shape(name: "virt_tap_tunnel", variable: "tap_tunnels", of: tap_tunnel.self, entries: TAP_DESTINATIONS)
    /// The number of the next copy to each destination.
    static let sequences = Shape(name: "virt_tap_seq", variable: "tap_sequences", of: UInt32.self, entries: TAP_DESTINATIONS)
    /// Where checksums are computed: the relay's own, and not pinned.
    static let sums = Shape(name: "virt_tap_sums", variable: "tap_sums", of: tap_sum_buffer.self, entries: 1, isPerCPU: true)
    /// The relay.
    static let hops = Shape(name: "virt_tap_hops", variable: "tap_hops", of: tap_relay.self, entries: 1)
    static let backlogs = Shape(name: "virt_tap_queues", variable: "tap_backlogs", of: tap_backlog.self, entries: TAP_BACKLOGS)
    static let lastCopies = Shape(
        name: "virt_tap_last", variable: "tap_last", of: tap_last_copy.self, entries: TAP_DESTINATIONS, isPerCPU: true)
}
