// SPDX-License-Identifier: LGPL-2.1-or-later

/// What a guest's device was like when it was proved to be the guest's. None of it is a condition, since agents, udev and the guest
/// itself change it; what is different later is a remark in `status`.
public struct DeviceTraits: Hashable, Codable, Sendable {
    public var address: MACAddress?
    /// The device that it was a port of.
    public var bridge: String?

    public init(_ device: HostDevice) {
        address = device.mac
        bridge = device.masterName
    }
}

extension DeviceTraits {
    /// What is different of a device since it was like this, each a clause about "it".
    ///
    /// - Parameters:
    ///   - name: what libvirt calls it.
    ///   - bridge: what libvirt's XML says of its bridge: where it is one of that it is no change that libvirt does not know of.
    public func changes(to device: HostDevice, called name: String, in bridge: String? = nil) -> [String] {
        var changes: [String] = []
        if device.name != name { changes.append("it is called \(device.name) now") }
        if device.mac != address {
            changes.append("its address is \(Self.text(device.mac)) now and was \(Self.text(address))")
        }
        // One that was in none is plugged in by whoever made it, as agents do at their leisure.
        if let former = self.bridge, device.masterName != former, bridge == nil || device.masterName != bridge {
            // libvirt may have moved it since it was proved.
            let last = bridge ?? former
            changes.append(
                device.masterName.map { "it is a port of \($0) now and was one of \(last)" } ?? "it is no port of \(last) any more")
        }
        return changes
    }

    private static func text(_ address: MACAddress?) -> String { address?.description ?? "none" }
}

extension AttachedInterface {
    /// What there is to know of a tapped device that is not as it was, or that nothing passes; `nil`: nothing.
    ///
    /// - Parameters:
    ///   - device: as it is now.
    ///   - bridge: what libvirt's XML says of its bridge.
    public func remark(on device: HostDevice, in bridge: String? = nil) -> TapStatus.Warning? {
        let changes =
            traits?.changes(to: device, called: self.device, in: bridge)
            ?? (device.name == self.device ? [] : ["it is called \(device.name) now"])
        let stillness: String? =
            if !device.isUp {
                "it is down: nothing passes it that could be copied until `ip link set \(device.name) up`"
            } else if !device.hasCarrier {
                device.kind == .macvtap
                    ? "the adapter below it has no carrier: nothing comes from there"
                    : "it has no carrier: nothing passes it that could be copied"
            } else {
                nil
            }
        let clauses = changes + [stillness].compactMap { $0 }
        guard !clauses.isEmpty else { return nil }
        let rest = changes.isEmpty ? "" : ". It is the same device (ifindex \(device.index)), so it stays tapped"
        return TapStatus.Warning(reason: .deviceChanged, message: "\(self.device): \(clauses.joined(separator: "; "))\(rest)")
    }
}
