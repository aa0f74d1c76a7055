// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// The host's devices as they were read last. Times are seconds of a clock that does not jump.
struct KnownDevices {
    private(set) var table = DeviceTable()
    /// When all of them were read last.
    private(set) var readAt = -Double.infinity
    /// Counts readings that found a change.
    private(set) var generation = 0

    /// Takes in all of them.
    mutating func replace(_ devices: [HostDevice], readAt now: Double) {
        let new = DeviceTable(devices)
        if new != table { generation += 1 }
        (table, readAt) = (new, now)
    }

    /// Takes in one alone; `nil`: there is none of that name.
    mutating func update(_ name: String, _ device: HostDevice?) {
        if table[name] != device { generation += 1 }
        table.update(name, device)
    }
}
