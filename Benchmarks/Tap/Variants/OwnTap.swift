// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import TapModel

/// Taps of ours on the guest's device, through the data path that the daemon uses.
struct OwnTap: Attached {
    private let dataplane: KernelDataplane
    private let keys: [AttachmentKey]
    private static let destination = "mon"

    struct Options {
        var filter: CompiledFilter?
        var snaplen: Snaplen?
        var sampling: Sampling?
        var rate: RateLimit?
        /// The largest packet for the destination's device: offloads of copies are resolved.
        var mtu: UInt32?
        var direction = TapDirection.outbound
    }

    /// - Parameter mechanism: `nil`: the kernel's best.
    init(
        _ dataplane: KernelDataplane, on path: any ForwardingPath, taps: Int = 1, mechanism: Mechanism? = nil,
        _ options: Options = Options()
    )
        throws
    {
        try self.init(
            dataplane, device: path.guest.name, index: path.guest.index, destination: path.destinationIndex, taps: taps,
            mechanism: mechanism, options)
    }

    init(
        _ dataplane: KernelDataplane, device: String, index: UInt32, destination: UInt32, taps: Int = 1, mechanism: Mechanism? = nil,
        _ options: Options = Options()
    ) throws {
        let route = DestinationRoute(kind: .interface, ifindex: destination, mtu: options.mtu)
        try self.init(dataplane, device: device, index: index, route: route, taps: taps, mechanism: mechanism, options)
    }

    init(
        _ dataplane: KernelDataplane, device: String, index: UInt32, route: DestinationRoute, taps: Int = 1, mechanism: Mechanism? = nil,
        _ options: Options = Options()
    ) throws {
        self.dataplane = dataplane
        try dataplane.setDestination(Self.destination, route)
        let mechanism = try mechanism ?? dataplane.mechanism(for: .auto)
        var attached: [AttachmentKey] = []
        do {
            for number in 0..<taps {
                let key = AttachmentKey(
                    domain: DomainUUID("6b3b4ae2-6a3e-4a0c-a1c5-2d8f3f6f6b01")!, origin: .domain, tap: TapName("bench\(number)")!,
                    ifindex: index)
                let interface = AttachedInterface(
                    alias: "net0", mac: MACAddress(bytes: [0x52, 0x54, 0x00, 0x12, 0x34, 0x56])!, type: .bridge, device: device,
                    isMacvtap: false)
                let copy = CopyOptions(
                    direction: options.direction, destination: Self.destination, mark: PacketMark(), filter: options.filter?.expression,
                    snaplen: options.snaplen, sampling: options.sampling, rate: options.rate, resolvesOffloads: options.mtu != nil)
                let desired = DesiredAttachment(
                    key: key, domainName: "bench", interface: interface, destinationKind: route.kind, options: copy, filter: options.filter,
                    mechanism: mechanism)
                try dataplane.attach(desired, at: Timestamp(seconds: 1_800_000_000))
                attached.append(key)
            }
        } catch {
            for key in attached { try? dataplane.detach(key.id) }
            throw error
        }
        keys = attached
    }

    func counters() throws -> DirectionCounters? {
        try keys.reduce(into: DirectionCounters()) { sum, key in
            for counters in try dataplane.counters(of: key.id).values {
                sum.copied += counters.copied
                sum.filtered += counters.filtered
                sum.sampledOut += counters.sampledOut
                sum.rateLimited += counters.rateLimited
                sum.errors += counters.errors
                sum.marked += counters.marked
            }
        }
    }

    func detach() throws {
        for key in keys { try dataplane.detach(key.id) }
    }
}
