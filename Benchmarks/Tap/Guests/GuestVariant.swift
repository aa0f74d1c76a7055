// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import TapModel

/// What is on the devices of both guests.
struct GuestVariant {
    /// Which frames must have been copied.
    enum Copies {
        case none
        /// Those that guests sent.
        case outbound
        /// Those, and those that guests were given: each frame from guest to guest twice.
        case both
    }

    let name: String
    let title: String
    let copies: Copies
    let attach: ([GuestNamespace], _ destination: String, _ index: UInt32) throws -> [any Attached]

    static var untapped: GuestVariant { GuestVariant(name: "untapped", title: "no tap", copies: .none) { _, _, _ in [] } }

    static func all(_ dataplane: KernelDataplane) throws -> [GuestVariant] {
        let rejecting = try CompiledExpression("tcp port 443")
        func ours(_ name: String, _ title: String, _ copies: Copies, _ options: OwnTap.Options) -> GuestVariant {
            GuestVariant(name: name, title: title, copies: copies) { guests, _, index in
                try guests.map {
                    try OwnTap(dataplane, device: $0.device.name, index: $0.device.index, destination: index, options)
                }
            }
        }
        func peer(_ name: String, _ title: String, _ copies: Copies, hooks: [String], _ match: String) -> GuestVariant {
            GuestVariant(name: name, title: title, copies: copies) { guests, destination, _ in
                [try TcFilters(devices: guests.map(\.device.name), hooks: hooks, [match], to: destination)]
            }
        }
        let ways = ["ingress", "egress"]
        return [
            ours("taps", "our taps, what guests send", .outbound, .init()),
            peer("mirred", "tc mirred (u32), what guests send", .outbound, hooks: ["ingress"], "u32 match u32 0 0"),
            ours("taps-both", "our taps, both directions", .both, .init(direction: .both)),
            peer("mirred-both", "tc mirred (u32), both directions", .both, hooks: ways, "u32 match u32 0 0"),
            ours(
                "reject", "our taps, both directions, `tcp port 443`: reject all", .none,
                .init(filter: rejecting.compiled, direction: .both)),
            peer(
                "reject-bpf", "cls_bpf with the same cBPF, both directions: rejects all", .none, hooks: ways,
                "bpf bytecode '\(rejecting.bytecode)'"),
        ]
    }
}
