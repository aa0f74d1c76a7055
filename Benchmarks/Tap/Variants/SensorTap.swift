// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import TapModel

/// Our tap with copies for a sensor VM.
struct SensorTap: Attached {
    private let sensor: SensorGuest
    private let tap: OwnTap
    var farEnd: (any CopyCount)? { sensor }

    init(_ dataplane: KernelDataplane, on path: any ForwardingPath, _ options: OwnTap.Options = OwnTap.Options()) throws {
        sensor = try SensorGuest("sensor1")
        do {
            let route = DestinationRoute(kind: .domain, ifindex: sensor.device.index)
            tap = try OwnTap(dataplane, device: path.guest.name, index: path.guest.index, route: route, options)
        } catch {
            sensor.stop()
            throw error
        }
    }

    func counters() throws -> DirectionCounters? { try tap.counters() }

    func detach() throws {
        defer { sensor.stop() }
        try tap.detach()
    }
}
