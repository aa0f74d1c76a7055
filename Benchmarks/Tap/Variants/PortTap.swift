// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import TapModel

/// A tap of ours into a monitor port. Copies are counted where sensors listen, by a program that drops them in the place of ours.
final class PortTap: Attached {
    private static let name = "span0"
    private let dataplane: KernelDataplane
    private let tap: OwnTap
    private let sensor: FarEnd

    init(_ dataplane: KernelDataplane, on path: any ForwardingPath) throws {
        self.dataplane = dataplane
        let port = try dataplane.installPort(
            MonitorPort.Spec(name: Self.name, marks: [PacketMark()], mechanism: dataplane.mechanism(for: .auto)))
        do {
            sensor = try FarEnd(on: Self.name, isFirst: true)
            tap = try OwnTap(
                dataplane, device: path.guest.name, index: path.guest.index, route: DestinationRoute(kind: .monitor, ifindex: port.ifindex))
        } catch {
            _ = try? dataplane.removePorts(but: [])
            throw error
        }
    }

    var farEnd: (any CopyCount)? { sensor }

    func counters() throws -> DirectionCounters? { try tap.counters() }

    func detach() throws {
        try tap.detach()
        _ = try dataplane.removePorts(but: [])
    }
}
