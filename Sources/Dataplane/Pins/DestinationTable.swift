// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import TapModel

/// The map of destinations that all attachments share, with its counters.
///
/// A slot belongs to a label from the first time it is set until it is forgotten; programs know only the slot.
struct DestinationTable {
    let map: KernelObject
    let counterMap: KernelObject
    let kernel: Kernel

    /// Opens the pinned maps; makes them when there are none and `create`.
    /// - Returns: `nil` when there are none.
    static func open(_ pins: PinTree, create: Bool) throws -> DestinationTable? {
        let kernel = pins.kernel
        func map(_ path: String, _ make: () throws -> KernelObject) throws -> KernelObject? {
            if let map = try kernel.open(path, CLIBBPF_MAP) { return map }
            guard create else { return nil }
            let map = try make()
            try kernel.pin(map, at: path)
            return map
        }
        if create { try pins.makeLayout() }
        let entries = MapLayout.destinations
        let destinations = try map(pins.destinations) {
            try kernel.createArray(MapLayout.destinationsName, valueSize: MapLayout.destinationSize, entries: entries)
        }
        let counters = try map(pins.destinationCounters) {
            try kernel.createArray(
                MapLayout.destinationCountersName, valueSize: MapLayout.counterSize,
                entries: entries * UInt32(MapLayout.countersPerDestination), perCPU: true)
        }
        guard let destinations, let counters else { return nil }
        guard try kernel.mapInfo(destinations).value_size == MapLayout.destinationSize else {
            throw Failure(.attachFailed, "\(pins.destinations) is not ours; remove it, or everything with `virt-tap purge`")
        }
        return DestinationTable(map: destinations, counterMap: counters, kernel: kernel)
    }

    private struct Slot {
        var index: UInt32
        var label: String
        var kind: UInt32
        var ifindex: UInt32
    }

    private func slot(_ index: UInt32) throws -> Slot? {
        let value = try kernel.read(map, at: index, size: Int(MapLayout.destinationSize))
        let label = value[MapLayout.labelOffset...].prefix { $0 != 0 }
        guard !label.isEmpty else { return nil }
        return value.withUnsafeBytes {
            Slot(
                index: index, label: String(decoding: label, as: UTF8.self), kind: $0.loadUnaligned(fromByteOffset: 4, as: UInt32.self),
                ifindex: $0.loadUnaligned(as: UInt32.self))
        }
    }

    private func write(_ slot: Slot?, at index: UInt32) throws {
        var value = [UInt8](repeating: 0, count: Int(MapLayout.destinationSize))
        if let slot {
            value.withUnsafeMutableBytes {
                $0.storeBytes(of: slot.ifindex, as: UInt32.self)
                $0.storeBytes(of: slot.kind, toByteOffset: 4, as: UInt32.self)
            }
            value.replaceSubrange(MapLayout.labelOffset..<(MapLayout.labelOffset + slot.label.utf8.count), with: slot.label.utf8)
        }
        try kernel.write(value, to: map, at: index)
    }

    func slot(of label: String) throws -> UInt32? {
        try (0..<MapLayout.destinations).first { try slot($0)?.label == label }
    }

    func set(_ label: String, kind: DestinationTarget.Kind, ifindex: UInt32) throws {
        let room = Int(MapLayout.destinationSize) - MapLayout.labelOffset - 1
        guard (1...room).contains(label.utf8.count) else {
            throw Failure(.attachFailed, "destination \"\(label)\": its name has \(label.utf8.count) bytes; 1 to \(room) are possible")
        }
        var free: UInt32?
        var index: UInt32?
        for candidate in 0..<MapLayout.destinations where index == nil {
            if let slot = try slot(candidate) {
                if slot.label == label { index = candidate }
            } else if free == nil {
                free = candidate
            }
        }
        if index == nil, let free {
            // Its last owner's counts.
            for counter in 0..<MapLayout.countersPerDestination { try clear(free, counter) }
        }
        guard let index = index ?? free else {
            throw Failure(
                .attachFailed,
                "destination \"\(label)\": all \(MapLayout.destinations) slots are taken; use fewer destinations, inline ones included")
        }
        try write(Slot(index: index, label: label, kind: Self.number(kind), ifindex: ifindex), at: index)
    }

    func forget(_ label: String) throws {
        if let index = try slot(of: label) { try write(nil, at: index) }
    }

    func records() throws -> [DestinationRecord] {
        let counters = CounterMap(object: counterMap, kernel: kernel)
        return try (0..<MapLayout.destinations).compactMap { index in
            guard let slot = try slot(index), let kind = Self.kind(slot.kind) else { return nil }
            let base = Int(index) * MapLayout.countersPerDestination
            return DestinationRecord(
                label: slot.label, kind: kind, ifindex: slot.ifindex, sent: try counters.sum(at: base),
                errors: try counters.sum(at: base + 1))
        }
    }

    private func clear(_ index: UInt32, _ counter: Int) throws {
        try CounterMap(object: counterMap, kernel: kernel).clear(at: Int(index) * MapLayout.countersPerDestination + counter)
    }

    /// Written into pinned maps: never renumber.
    private static func number(_ kind: DestinationTarget.Kind) -> UInt32 {
        switch kind {
        case .interface: 1
        case .domain: 2
        case .vxlan: 3
        case .geneve: 4
        case .gre: 5
        case .erspan: 6
        }
    }

    private static func kind(_ number: UInt32) -> DestinationTarget.Kind? {
        DestinationTarget.Kind.allCases.first { self.number($0) == number }
    }
}
