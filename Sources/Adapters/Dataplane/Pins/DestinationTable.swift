// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
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
        var rate = RateCost()
    }

    private func slot(_ index: UInt32) throws -> Slot? {
        let value = try kernel.read(maps.destinations, at: index, size: Int(MapLayout.destinations.valueSize))
        let label = value[MapLayout.labelOffset...].prefix { $0 != 0 }
        guard !label.isEmpty else { return nil }
        return value.withUnsafeBytes {
            Slot(
                label: String(decoding: label, as: UTF8.self),
                kind: $0.loadUnaligned(fromByteOffset: MapLayout.kindOffset, as: UInt32.self),
                ifindex: $0.loadUnaligned(as: UInt32.self),
                flags: $0.loadUnaligned(fromByteOffset: MapLayout.flagsOffset, as: UInt32.self),
                tunnel: $0.loadUnaligned(fromByteOffset: MapLayout.tunnelOffset, as: UInt32.self),
                rate: $0.loadUnaligned(fromByteOffset: MapLayout.limitOffset, as: RateCost.self))
        }
    }

    private func write(_ slot: Slot?, at index: UInt32) throws {
        var value = [UInt8](repeating: 0, count: Int(MapLayout.destinations.valueSize))
        if let slot {
            value.withUnsafeMutableBytes {
                $0.storeBytes(of: slot.ifindex, as: UInt32.self)
                $0.storeBytes(of: slot.kind, toByteOffset: MapLayout.kindOffset, as: UInt32.self)
                $0.storeBytes(of: slot.flags, toByteOffset: MapLayout.flagsOffset, as: UInt32.self)
                $0.storeBytes(of: slot.tunnel, toByteOffset: MapLayout.tunnelOffset, as: UInt32.self)
                $0.storeBytes(of: slot.rate, toByteOffset: MapLayout.limitOffset, as: RateCost.self)
            }
            value.replaceSubrange(MapLayout.labelOffset..<(MapLayout.labelOffset + slot.label.utf8.count), with: slot.label.utf8)
        }
        try kernel.write(value, to: maps.destinations, at: index)
    }

    func slot(of label: String) throws -> UInt32? {
        try (0..<MapLayout.destinationSlots).first { try slot($0)?.label == label }
    }

    func set(_ label: String, _ route: DestinationRoute) throws {
        let room = Int(MapLayout.destinations.valueSize) - MapLayout.labelOffset - 1
        guard (1...room).contains(label.utf8.count) else {
            throw Failure(.attachFailed, "destination \"\(label)\": its name has \(label.utf8.count) bytes; use 1 to \(room)")
        }
        var free: UInt32?
        var index: UInt32?
        var formerRate: RateCost?
        for candidate in 0..<MapLayout.destinationSlots where index == nil {
            if let slot = try slot(candidate) {
                if slot.label == label { (index, formerRate) = (candidate, slot.rate) }
            } else if free == nil {
                free = candidate
            }
        }
        if index == nil, let free {
            // Clear the counts of the slot's last owner. Copies are numbered from the beginning, since a receiver may drop lower numbers as
            // old.
            for counter in MapLayout.DestinationCounter.allCases { try clear(free, counter) }
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
            flags: (route.isReceiving ? MapLayout.isReceiving : 0) | (route.kind.isTunnel ? MapLayout.isWrapping : 0)
                | (Self.isSplitting(route.ifindex) ? MapLayout.isSplitting : 0),
            tunnel: TunnelEntry.number(of: label),
            rate: RateCost(route.rate))
        // Write the encapsulation before the destination: the programs read the number that identifies the destination in both.
        if let tunnel = route.tunnel {
            let entry = TunnelEntry(tunnel, of: label, clockOffset: TunnelEntry.clockOffset())
            try kernel.write(entry.bytes, to: maps.tunnels, at: index)
        } else if let way = route.ownWay {
            // An entry for the same machine stays: copies that are under way still need it.
            let entry = try kernel.read(maps.tunnels, at: index, size: Int(MapLayout.tunnels.valueSize))
            if TunnelEntry.specificRoute(entry, of: label)?.remote != way.remote {
                try kernel.write(TunnelEntry(way, of: label).bytes, to: maps.tunnels, at: index)
            }
        } else if let mtu = route.mtu {
            try kernel.write(TunnelEntry(mtu: mtu).bytes, to: maps.tunnels, at: index)
        }
        try write(slot, at: index)
        // A debt from another rate, or of another owner, does not count.
        if formerRate != slot.rate { try kernel.write(RateCost.allPaid, to: maps.destinationRates, at: index) }
    }

    private static func isSplitting(_ ifindex: UInt32) -> Bool { ifindex != 0 && !SegmentationOffload.isOn(ifindex) }

    /// Reads again whether the destinations' devices accept GSO packets, and writes what has changed.
    func refreshOffloads() throws {
        for index in 0..<MapLayout.destinationSlots {
            guard var slot = try slot(index) else { continue }
            let flags = slot.flags & ~MapLayout.isSplitting | (Self.isSplitting(slot.ifindex) ? MapLayout.isSplitting : 0)
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

    /// Writes the clock offset into every ERSPAN destination where it has changed by more than a millisecond.
    /// - Parameter offset: real-time clock minus monotonic clock, in nanoseconds.
    func refreshClock(offset: UInt64) throws {
        for index in 0..<MapLayout.destinationSlots where try slot(index)?.kind == Self.number(.erspan) {
            var entry = try kernel.read(maps.tunnels, at: index, size: Int(MapLayout.tunnels.valueSize))
            let known = entry.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: MapLayout.clockOffsetOffset, as: UInt64.self) }
            guard Int64(bitPattern: offset &- known).magnitude > 1_000_000 else { continue }
            entry.withUnsafeMutableBytes { $0.storeBytes(of: offset, toByteOffset: MapLayout.clockOffsetOffset, as: UInt64.self) }
            try kernel.write(entry, to: maps.tunnels, at: index)
        }
    }

    func forget(_ label: String) throws {
        if let index = try slot(of: label) { try write(nil, at: index) }
    }

    func records() throws -> [DestinationRecord] {
        let counters = CounterMap(object: maps.destinationCounters, kernel: kernel)
        return try (0..<MapLayout.destinationSlots).compactMap { index -> DestinationRecord? in
            guard let slot = try slot(index), let kind = Self.kind(slot.kind) else { return nil }
            func sum(_ counter: MapLayout.DestinationCounter) throws -> Counter { try counters.sum(at: Self.counterIndex(index, counter)) }
            let given = try sum(.given)
            let last = try counters.values(at: Self.counterIndex(index, .lastError)).map(\.packets).max() ?? 0
            return DestinationRecord(
                label: slot.label, kind: kind, ifindex: slot.ifindex, sent: given + (try sum(.spared)), given: given,
                wanted: try sum(.wanted), errors: try sum(.errors), lastError: last == 0 ? nil : WallClock.time(sinceBoot: last),
                rateLimited: try sum(.rateLimited),
                fragmented: try sum(.fragmented), truncated: try sum(.truncated), oversized: try sum(.oversized))
        }
    }

    private func clear(_ index: UInt32, _ counter: MapLayout.DestinationCounter) throws {
        try CounterMap(object: maps.destinationCounters, kernel: kernel).clear(at: Self.counterIndex(index, counter))
    }

    private static func counterIndex(_ index: UInt32, _ counter: MapLayout.DestinationCounter) -> Int {
        Int(index) * MapLayout.countersPerDestination + counter.rawValue
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
