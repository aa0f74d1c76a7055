// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// tc's mirror into a sensor VM's tap device.
struct SensorFilters: Attached {
    private let sensor: SensorGuest
    private let filters: TcFilters
    var farEnd: (any CopyCount)? { sensor }

    init(on path: any ForwardingPath) throws {
        sensor = try SensorGuest("sensor1")
        do {
            filters = try TcFilters(
                devices: [path.guest.name], hooks: ["ingress"], ["u32 match u32 0 0"], to: sensor.device.name)
        } catch {
            sensor.stop()
            throw error
        }
    }

    func detach() throws {
        defer { sensor.stop() }
        try filters.detach()
    }
}
