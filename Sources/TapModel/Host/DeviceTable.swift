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

    /// Puts one in order that was looked up alone, without its addresses: those of the same device stand.
    /// - Parameter device: `nil` when there is none of that name.
    public mutating func update(_ name: String, _ device: HostDevice?) {
        let before = byName[name]
        if let before, before.index != device?.index {
            byName[name] = nil
            nameOfIndex[before.index] = nil
        }
        guard var device else { return }
        if let former = nameOfIndex[device.index], former != name { byName[former] = nil }
        if let before, before.index == device.index { (device.hasAddress, device.addresses) = (before.hasAddress, before.addresses) }
        byName[name] = device
        nameOfIndex[device.index] = name
    }

    public var all: some Collection<HostDevice> { byName.values }
}
