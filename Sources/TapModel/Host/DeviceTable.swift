// SPDX-License-Identifier: LGPL-2.1-or-later

/// The netdevs of our network namespace, found by name or by index.
public struct DeviceTable: Hashable, Sendable {
    private var byName: [String: HostDevice] = [:]
    private var nameOfIndex: [UInt32: String] = [:]

    public init(_ devices: [HostDevice] = []) {
        for device in devices {
            byName[device.name] = device
            nameOfIndex[device.index] = device.name
        }
    }

    public subscript(name: String) -> HostDevice? { byName[name] }

    public subscript(index: UInt32) -> HostDevice? { nameOfIndex[index].flatMap { byName[$0] } }

    public var all: some Collection<HostDevice> { byName.values }
}
