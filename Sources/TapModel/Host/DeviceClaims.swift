// SPDX-License-Identifier: LGPL-2.1-or-later

/// Which running domains name which device as theirs, as far as the claim is credible.
///
/// `<target dev>` is what somebody wrote: a domain with `<interface type="user"><target dev="vnet3"/>` names another's
/// device and keeps the name in its live XML. Were every mention to count, such a domain could end the taps of its
/// neighbours, so only a claim counts that could be true: of a type that has a device, with the MAC that the device
/// would have.
public struct DeviceClaims: Hashable, Sendable {
    private var claims: [String: [DomainUUID: [DomainInterface]]] = [:]
    private var devicesOf: [DomainUUID: Set<String>] = [:]

    public init() {}

    /// Replaces what is known of one domain; no interfaces: it does not run.
    public mutating func set(_ interfaces: [DomainInterface], of domain: DomainUUID) {
        for device in devicesOf.removeValue(forKey: domain) ?? [] {
            claims[device]?[domain] = nil
            if claims[device]?.isEmpty == true { claims[device] = nil }
        }
        for interface in interfaces {
            guard let device = interface.device, interface.type.hasDevice else { continue }
            claims[device, default: [:]][domain, default: []].append(interface)
            devicesOf[domain, default: []].insert(device)
        }
    }

    /// The domains, other than `domain`, that could own `device`.
    public func others(than domain: DomainUUID?, claiming device: HostDevice) -> [DomainUUID] {
        (claims[device.name] ?? [:]).compactMap { claimant, interfaces in
            claimant != domain && interfaces.contains { DeviceOwnership.isPlausible(device, for: $0) } ? claimant : nil
        }.sorted()
    }

    /// The domains that name a device so called.
    public func domains(naming device: String) -> Set<DomainUUID> { Set((claims[device] ?? [:]).keys) }
}
