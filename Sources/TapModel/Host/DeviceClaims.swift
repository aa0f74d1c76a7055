// SPDX-License-Identifier: LGPL-2.1-or-later

/// Which running domains name which device as theirs, as far as the claim is credible.
///
/// `<target dev>` is what somebody wrote: a domain with `<interface type="user"><target dev="vnet3"/>` names another's
/// device and keeps the name in its live XML. Were every mention to count, such a domain could end the taps of its
/// neighbours, so only a claim counts that could be true: of a type that has a device, and a device of a guest's kind.
///
/// Of several such claims that of the domain stands whose address the device has; among equals the first one: a domain that comes
/// later ends no tap of one that was there.
public struct DeviceClaims: Hashable, Sendable {
    private struct Claim: Hashable {
        var interfaces: [DomainInterface]
        /// Claims are numbered as they come.
        var number: UInt64
    }

    private var claims: [String: [DomainUUID: Claim]] = [:]
    private var devicesOf: [DomainUUID: Set<String>] = [:]
    private var last: UInt64 = 0

    public init() {}

    /// Replaces what is known of one domain; no interfaces: it does not run.
    ///
    /// - Returns: the other domains that name a device which this one named until now: it may be theirs.
    @discardableResult
    public mutating func set(_ interfaces: [DomainInterface], of domain: DomainUUID) -> Set<DomainUUID> {
        var named: [String: [DomainInterface]] = [:]
        for interface in interfaces {
            guard let device = interface.device, interface.type.hasDevice else { continue }
            named[device, default: []].append(interface)
        }
        var heirs: Set<DomainUUID> = []
        for device in (devicesOf[domain] ?? []).subtracting(named.keys) {
            claims[device]?[domain] = nil
            heirs.formUnion(domains(naming: device))
            if claims[device]?.isEmpty == true { claims[device] = nil }
        }
        for (device, interfaces) in named {
            let number = claims[device]?[domain]?.number ?? last + 1
            last = max(last, number)
            claims[device, default: [:]][domain] = Claim(interfaces: interfaces, number: number)
        }
        devicesOf[domain] = named.isEmpty ? nil : Set(named.keys)
        return heirs
    }

    /// The domains, other than `domain`, whose claim on `device` comes before its own.
    ///
    /// - Parameter isByAddress: whether the device has the address that it would have if it were `domain`'s.
    public func others(than domain: DomainUUID?, claiming device: HostDevice, isByAddress: Bool) -> [DomainUUID] {
        let all = claims[device.name] ?? [:]
        let own = domain.flatMap { all[$0]?.number } ?? .max
        return all.compactMap { claimant, claim -> DomainUUID? in
            guard claimant != domain else { return nil }
            if claim.interfaces.contains(where: { DeviceOwnership.isPlausibleByAddress(device, for: $0) }) {
                return !isByAddress || claim.number < own ? claimant : nil
            }
            guard !isByAddress, claim.number < own else { return nil }
            return claim.interfaces.contains { DeviceOwnership.isPlausible(device, for: $0) } ? claimant : nil
        }.sorted()
    }

    /// The devices that a domain names.
    public func devices(namedBy domain: DomainUUID) -> Set<String> { devicesOf[domain] ?? [] }

    /// The domains that name a device so called.
    public func domains(naming device: String) -> Set<DomainUUID> { Set((claims[device] ?? [:]).keys) }
}
