// SPDX-License-Identifier: LGPL-2.1-or-later

/// The netdevs of our network namespace, found by name or by index.
public struct DeviceTable: Hashable, Sendable {
    private var byName: [String: HostDevice] = [:]
    private var nameOfIndex: [UInt32: String] = [:]
    private var indexOfAlternative: [String: UInt32] = [:]
    /// The ports of a device, and the devices that stand on it.
    private var above: [UInt32: Set<UInt32>] = [:]

    public init(_ devices: [HostDevice] = []) {
        for device in devices { insert(device) }
    }

    public subscript(name: String) -> HostDevice? { byName[name] }

    public subscript(index: UInt32) -> HostDevice? { nameOfIndex[index].flatMap { byName[$0] } }

    /// The device that has this name, or has it besides its own (altname): the kernel gives no name twice.
    public func device(called name: String) -> HostDevice? { byName[name] ?? indexOfAlternative[name].flatMap { self[$0] } }

    /// The ports of a bridge, bond or the like, in the order of their indices.
    public func ports(of device: HostDevice) -> [HostDevice] { others(device).filter { $0.master == device.index } }

    /// The devices that stand on one: VLAN and macvlan devices, tunnels that say by which device they leave.
    public func uppers(of device: HostDevice) -> [HostDevice] { others(device).filter { $0.lower == device.index } }

    private func others(_ device: HostDevice) -> [HostDevice] { (above[device.index] ?? []).sorted().compactMap { self[$0] } }

    /// Puts one in order that was looked up alone, without its addresses: those of the same device stand.
    /// - Parameter device: `nil` when there is none of that name.
    public mutating func update(_ name: String, _ device: HostDevice?) {
        let before = byName[name]
        if let before, before.index != device?.index { remove(before) }
        guard var device else { return }
        if let former = self[device.index], former.name != name { remove(former) }
        if let before, before.index == device.index {
            (device.hasAddress, device.addresses) = (before.hasAddress, before.addresses)
            remove(before)
        }
        insert(device)
    }

    private mutating func insert(_ device: HostDevice) {
        byName[device.name] = device
        nameOfIndex[device.index] = device.name
        for name in device.alternativeNames { indexOfAlternative[name] = device.index }
        for below in [device.master, device.lower] { if let below { above[below, default: []].insert(device.index) } }
    }

    private mutating func remove(_ device: HostDevice) {
        byName[device.name] = nil
        nameOfIndex[device.index] = nil
        for name in device.alternativeNames where indexOfAlternative[name] == device.index { indexOfAlternative[name] = nil }
        for below in [device.master, device.lower] {
            guard let below else { continue }
            above[below]?.remove(device.index)
            if above[below]?.isEmpty == true { above[below] = nil }
        }
    }

    public var all: some Collection<HostDevice> { byName.values }
}
