// SPDX-License-Identifier: LGPL-2.1-or-later

import CTapABI
import Glibc
import PacketFilter
import TapModel

/// The copying program, loaded for one attachment and direction.
struct TapProgram {
    let object: KernelObject
    /// The kernel's id.
    let id: UInt32

    /// What the object and its program are called.
    static let name = "virt_tap"
    /// Which program this is: what the kernel runs, and how filters are translated into it.
    static let build = "\(TapObject.build)-\(FilterTranslation.version)"

    /// The maps that it works on: they live longer than it does.
    struct Maps {
        let counters: KernelObject
        let shared: SharedMaps
        /// Only for a tap with a rate.
        let rate: KernelObject?
    }

    /// What the program is specialised by: the constants of bpf/tap.bpf.c.
    struct Constants {
        let direction: Direction
        let options: CopyOptions
        let destinationSlot: UInt32
        /// The translated filter.
        var filter: [UInt64] = []
    }

    private static let elf = ProgramObject.decode(TapObject.base64)

    static func load(_ constants: Constants, _ maps: Maps, _ kernel: Kernel) throws -> TapProgram {
        let object = try ProgramObject(name, elf, kernel)
        let options = constants.options
        for (name, value) in [
            ("tap_mark_value", options.mark.value), ("tap_mark_mask", options.mark.mask),
            ("tap_destination_slot", constants.destinationSlot),
            ("tap_filters", constants.filter.isEmpty ? 0 : 1), ("tap_sample_packets", options.sampling?.packetThreshold ?? .max),
            ("tap_sample_flows", options.sampling?.flowThreshold ?? .max), ("tap_snaplen", options.snaplen?.byteLimit ?? 0),
            ("tap_headers_only", options.snaplen == .headers ? 1 : 0), ("tap_once", options.once ? 1 : 0),
            ("tap_resolves_offloads", options.resolvesOffloads ? 1 : 0), ("tap_is_outbound", constants.direction == .outbound ? 1 : 0),
        ] {
            try object.set(name, value)
        }
        try object.set("tap_rate_limit", RateCost.limit(options.rate))
        try object.use(maps.counters, as: MapLayout.counters)
        try object.use(maps.rate, as: MapLayout.rate)
        for (map, shape) in maps.shared.ofTaps { try object.use(map, as: shape) }
        let program = try object.load(call: TAP_FILTER_CALL, function: constants.filter)
        return TapProgram(object: program, id: try program.programID())
    }
}

extension Sampling {
    /// A packet or flow is copied if its 32-bit random number or hash is at most this.
    private static func threshold(_ oneIn: UInt32) -> UInt32 {
        UInt32(((UInt64(1) << 32) + UInt64(oneIn) - 1) / UInt64(oneIn) - 1)
    }

    fileprivate var packetThreshold: UInt32? {
        if case .packets(let oneIn) = self { Self.threshold(oneIn) } else { nil }
    }

    fileprivate var flowThreshold: UInt32? {
        if case .flows(let oneIn) = self { Self.threshold(oneIn) } else { nil }
    }
}

extension Snaplen {
    fileprivate var byteLimit: UInt32? {
        if case .bytes(let count) = self { UInt32(count) } else { nil }
    }
}
