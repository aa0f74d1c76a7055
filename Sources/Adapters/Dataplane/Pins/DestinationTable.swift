// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import CTapABI
import TapModel

/// The map of destinations that all attachments share, with its counters.
///
/// A slot belongs to a label from the first time it is set until it is forgotten. Programs know only the slot.
struct DestinationTable {
    let maps: SharedMaps
    let kernel: Kernel

    private struct Slot {
        var label: String
        var kind: UInt32
        var ifindex: UInt32
        var flags: UInt32
        var tunnel: UInt32 = 0
        var limit = tap_limit()
    }

    private func slot(_ index: UInt32) throws -> Slot? {
        let bytes = try kernel.read(maps.destinations, at: index, size: MemoryLayout<tap_destination>.size)
        let value = bytes.withUnsafeBytes { $0.loadUnaligned(as: tap_destination.self) }
        let label = withUnsafeBytes(of: value.label) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        guard !label.isEmpty else { return nil }
        return Slot(
            label: label, kind: value.kind, ifindex: value.ifindex, flags: value.flags, tunnel: value.tunnel, limit: value.limit)
    }

    private func write(_ slot: Slot?, at index: UInt32) throws {
        var value = tap_destination()
        if let slot {
            value.ifindex = slot.ifindex
            value.kind = slot.kind
            value.flags = slot.flags
            value.tunnel = slot.tunnel
            value.limit = slot.limit
            withUnsafeMutableBytes(of: &value.label) { $0.copyBytes(from: slot.label.utf8) }
        }
        try kernel.write(withUnsafeBytes(of: value) { Array($0) }, to: maps.destinations, at: index)
    }

    func slot(of label: String) throws -> UInt32? {
        try (0..<MapLayout.destinationSlots).first { try slot($0)?.label == label }
    }

    func set(_ label: String, _ route: DestinationRoute) throws {
        let room = Int(TAP_LABEL_SIZE) - 1
        guard (1...room).contains(label.utf8.count) else {
            throw Failure(.attachFailed, "destination \"\(label)\": its name has \(label.utf8.count) bytes; use 1 to \(room)")
        }
        var free: UInt32?
        var index: UInt32?
        var formerLimit: tap_limit?
        for candidate in 0..<MapLayout.destinationSlots where index == nil {
            if let slot = try slot(candidate) {
                if slot.label == label { (index, formerLimit) = (candidate, slot.limit) }
            } else if free == nil {
                free = candidate
            }
        }
        if index == nil, let free {
            // Its last owner's counts; and its copies are numbered from the beginning, or a receiver may take them for old ones.
            for counter in 0..<TAP_DESTINATION_COUNTERS.rawValue { try clear(free, tap_destination_counter(counter)) }
            try kernel.write([UInt8](repeating: 0, count: Int(MapLayout.sequences.valueSize)), to: maps.sequences, at: free)
        }
        guard let index = index ?? free else {
            throw Failure(
                .attachFailed,
                "destination \"\(label)\": all \(MapLayout.destinationSlots) slots are in use; use fewer destinations, inline ones included"
            )
        }
        let slot = Slot(
            label: label, kind: Self.number(route.kind), ifindex: route.ifindex,
            flags: (route.isReceiving ? Self.receives : 0) | (route.kind.isTunnel ? Self.encapsulates : 0)
                | (Self.isSegmenting(route.ifindex) ? Self.segments : 0),
            tunnel: TunnelEntry.number(of: label),
            limit: RateCost.limit(route.rate))
        // First how copies are encapsulated, and by which device they leave then: the programs read the number in both.
        if let tunnel = route.tunnel {
            let entry = TunnelEntry(tunnel, of: label, clockOffset: TunnelEntry.clockOffset())
            try kernel.write(entry.bytes, to: maps.tunnels, at: index)
        } else if let way = route.specificRoute {
            // An entry for the same machine stays: copies that are under way still need it.
            let entry = try kernel.read(maps.tunnels, at: index, size: Int(MapLayout.tunnels.valueSize))
            if TunnelEntry.specificRoute(entry, of: label)?.remote != way.remote {
                try kernel.write(TunnelEntry(way, of: label).bytes, to: maps.tunnels, at: index)
            }
        } else if let mtu = route.mtu {
            try kernel.write(TunnelEntry(mtu: mtu).bytes, to: maps.tunnels, at: index)
        }
        try write(slot, at: index)
        // What another rate would still have to pay for, or another owner, does not count.
        if formerLimit.map({ $0 != slot.limit }) ?? true { try kernel.write(RateCost.allPaid, to: maps.destinationRates, at: index) }
    }

    private static let receives = UInt32(TAP_DESTINATION_RECEIVES)
    private static let encapsulates = UInt32(TAP_DESTINATION_ENCAPSULATES)
    private static let segments = UInt32(TAP_DESTINATION_SEGMENTS)

    /// Whether the kernel has to segment GSO packets in front of the device.
    private static func isSegmenting(_ ifindex: UInt32) -> Bool { ifindex != 0 && !SegmentationOffload.isOn(ifindex) }

    /// Reads again whether the destinations' devices accept GSO packets, and writes what has changed.
    func refreshOffloads() throws {
        for index in 0..<MapLayout.destinationSlots {
            guard var slot = try slot(index) else { continue }
            let flags = slot.flags & ~Self.segments | (Self.isSegmenting(slot.ifindex) ? Self.segments : 0)
            guard flags != slot.flags else { continue }
            slot.flags = flags
            try write(slot, at: index)
        }
    }

    /// Reads what `TapDataplane.specificRoutes` returns. An entry stays while its destination is stopped.
    func specificRoutes() throws -> [[UInt8]: UInt32] {
        var ways: [[UInt8]: UInt32] = [:]
        for index in 0..<MapLayout.destinationSlots {
            guard let slot = try slot(index), Self.kind(slot.kind)?.isTunnel == true else { continue }
            let entry = try kernel.read(maps.tunnels, at: index, size: Int(MapLayout.tunnels.valueSize))
            if let way = TunnelEntry.specificRoute(entry, of: slot.label) { ways[way.remote] = way.ifindex }
        }
        return ways
    }

    /// - Parameter offset: the real-time clock less the monotonic clock, in nanoseconds.
    func refreshClock(offset: UInt64) throws {
        for index in 0..<MapLayout.destinationSlots where try slot(index)?.kind == Self.number(.erspan) {
            let entry = TunnelEntry(try kernel.read(maps.tunnels, at: index, size: Int(MapLayout.tunnels.valueSize)))
            if let current = entry?.following(clockOffset: offset) { try kernel.write(current.bytes, to: maps.tunnels, at: index) }
        }
    }

    func forget(_ label: String) throws {
        if let index = try slot(of: label) { try write(nil, at: index) }
    }

    func records() throws -> [DestinationRecord] {
        let counters = CounterMap(object: maps.destinationCounters, kernel: kernel)
        return try (0..<MapLayout.destinationSlots).compactMap { index -> DestinationRecord? in
            guard let slot = try slot(index), let kind = Self.kind(slot.kind) else { return nil }
            func sum(_ counter: tap_destination_counter) throws -> Counter { try counters.sum(at: CounterMap.index(index, counter)) }
            let given = try sum(TAP_DESTINATION_GIVEN)
            let last = try counters.values(at: CounterMap.index(index, TAP_DESTINATION_LAST_ERROR)).map(\.packets).max() ?? 0
            return DestinationRecord(
                label: slot.label, kind: kind, ifindex: slot.ifindex, sent: given + (try sum(TAP_DESTINATION_SPARED)), given: given,
                wanted: try sum(TAP_DESTINATION_WANTED), errors: try sum(TAP_DESTINATION_ERRORS),
                lastError: last == 0 ? nil : WallClock.time(sinceBoot: last),
                rateLimited: try sum(TAP_DESTINATION_RATE_LIMITED), fragmented: try sum(TAP_DESTINATION_FRAGMENTED),
                truncated: try sum(TAP_DESTINATION_TRUNCATED), oversized: try sum(TAP_DESTINATION_OVERSIZED))
        }
    }

    private func clear(_ index: UInt32, _ counter: tap_destination_counter) throws {
        try CounterMap(object: maps.destinationCounters, kernel: kernel).clear(at: CounterMap.index(index, counter))
    }

    /// The number of a kind in pinned maps: never renumber.
    private static func number(_ kind: DestinationTarget.Kind) -> UInt32 {
        switch kind {
        case .interface: 1
        case .domain: 2
        case .vxlan: 3
        case .geneve: 4
        case .gre: 5
        case .erspan: 6
        case .monitor: 7
        }
    }

    private static func kind(_ number: UInt32) -> DestinationTarget.Kind? {
        DestinationTarget.Kind.allCases.first { self.number($0) == number }
    }
}
