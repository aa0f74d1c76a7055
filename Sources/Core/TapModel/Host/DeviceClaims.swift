// SPDX-License-Identifier: LGPL-2.1-or-later

/// Which running domains name which device as theirs, and which devices were proved to be a domain's.
///
/// `<target dev>` is what somebody wrote: a domain with `<interface type="user"><target dev="vnet3"/>` names another's
/// device and keeps the name in its live XML. Were every mention to count, such a domain could end the taps of its
/// neighbours, so only a claim counts that could be true: of a type that has a device, and a device of a guest's kind.
///
/// What was proved once is proved for as long as the device lives: its ifindex is what counts then, and no name. So a claim is on the
/// device that was proved, where there is one, else on whichever has the name. Of what two domains claim, and neither has proved,
/// nobody gets anything.
public struct DeviceClaims: Hashable, Sendable {
    /// That a device was found to be the host side of an interface.
    public struct Proof: Hashable, Sendable {
        public var ifindex: UInt32
        /// Never changes while the device lives.
        public var kind: HostDevice.Kind
        /// What it was like then.
        public var traits: DeviceTraits
    }

    /// An interface as libvirt's live XML tells it from the domain's others for as long as it is there.
    private struct Place: Hashable {
        var device: String
        var mac: MACAddress?

        init?(_ interface: DomainInterface) {
            guard let name = interface.device, interface.type.hasDevice else { return nil }
            (device, mac) = (name, interface.mac)
        }
    }

    private var interfaces: [DomainUUID: [DomainInterface]] = [:]
    private var claimants: [String: Set<DomainUUID>] = [:]
    private var proofs: [DomainUUID: [Place: Proof]] = [:]
    private var owners: [UInt32: DomainUUID] = [:]

    public init() {}

    // MARK: What domains name

    /// Replaces what is known of one domain; no interfaces: it does not run.
    ///
    /// - Returns: the other domains that name a device which this one named until now: it may be theirs.
    @discardableResult
    public mutating func set(_ interfaces: [DomainInterface], of domain: DomainUUID) -> Set<DomainUUID> {
        let named = interfaces.filter { Place($0) != nil }
        let before = devices(namedBy: domain)
        self.interfaces[domain] = named.isEmpty ? nil : named
        let after = devices(namedBy: domain)
        var heirs: Set<DomainUUID> = []
        for device in before.subtracting(after) {
            claimants[device]?.remove(domain)
            heirs.formUnion(domains(naming: device))
            if claimants[device]?.isEmpty == true { claimants[device] = nil }
        }
        for device in after { claimants[device, default: []].insert(domain) }
        let places = Set(named.compactMap(Place.init))
        keepProofs(of: domain) { place, _ in places.contains(place) }
        return heirs
    }

    /// The domains, other than `domain`, that a device is proved to be of, or else may be: who has a proved one claims no other.
    public func others(than domain: DomainUUID?, claiming device: HostDevice) -> [DomainUUID] {
        if let owner = owners[device.index] { return owner == domain ? [] : [owner] }
        return domains(naming: device.name).filter { claimant in
            claimant != domain
                && (interfaces[claimant] ?? []).contains { interface in
                    DeviceOwnership.isPlausible(device, for: interface) && proof(of: interface, in: claimant) == nil
                }
        }.sorted()
    }

    /// The devices that a domain names.
    public func devices(namedBy domain: DomainUUID) -> Set<String> { Set((interfaces[domain] ?? []).compactMap(\.device)) }

    /// The domains that name a device so called.
    public func domains(naming device: String) -> Set<DomainUUID> { claimants[device] ?? [] }

    /// Interfaces whose device is nowhere to be seen: it is gone, or has another name since before anybody looked.
    func interfaces(missingIn devices: DeviceTable) -> [(domain: DomainUUID, interface: DomainInterface)] {
        interfaces.flatMap { domain, interfaces in
            interfaces.filter { interface in
                proof(of: interface, in: domain).flatMap { devices[$0.ifindex] } == nil && interface.device.flatMap { devices[$0] } == nil
            }.map { (domain, $0) }
        }
    }

    // MARK: What was proved

    /// Notes that a device is an interface's, if the domain names it: one that has given its devices up gets none. One that is proved to
    /// be another domain's stays that one's.
    ///
    /// - Parameter traits: what it was like when it was proved; `nil`: as it is now.
    public mutating func prove(_ device: HostDevice, is interface: DomainInterface, of domain: DomainUUID, traits: DeviceTraits? = nil) {
        guard let place = Place(interface), owners[device.index, default: domain] == domain,
            (interfaces[domain] ?? []).contains(where: { Place($0) == place })
        else { return }
        let proof = Proof(ifindex: device.index, kind: device.kind, traits: traits ?? DeviceTraits(device))
        let former = proofs[domain, default: [:]].updateValue(proof, forKey: place)
        // The number of the one before it may be given to anybody's device.
        if let former, proofs[domain]?.values.contains(where: { $0.ifindex == former.ifindex }) == false { owners[former.ifindex] = nil }
        owners[device.index] = domain
    }

    /// The device that was proved to be an interface's, which may have gone since.
    public func proof(of interface: DomainInterface, in domain: DomainUUID) -> Proof? {
        Place(interface).flatMap { proofs[domain]?[$0] }
    }

    /// The same of what a domain's XML calls `name`.
    public func proof(ofDevice name: String, in domain: DomainUUID) -> Proof? {
        proofs[domain]?.first { $0.key.device == name }?.value
    }

    /// Whose a device was proved to be.
    public func owner(of ifindex: UInt32) -> DomainUUID? { owners[ifindex] }

    /// Forgets what was proved of devices that are not there any more. A number that has another kind of device now was given anew.
    public mutating func forgetProofs(without devices: DeviceTable) {
        for domain in Array(proofs.keys) { keepProofs(of: domain) { devices[$1.ifindex]?.kind == $1.kind } }
    }

    /// Forgets what was proved of a domain, which starts anew; what it names stands.
    public mutating func forgetProofs(of domain: DomainUUID) { keepProofs(of: domain) { _, _ in false } }

    /// Forgets that a domain's device is proved: it was seen to be gone, whatever has its number now.
    /// - Returns: whether that changes anything.
    public mutating func forgetProof(of ifindex: UInt32, in domain: DomainUUID) -> Bool {
        guard owners[ifindex] == domain else { return false }
        keepProofs(of: domain) { $1.ifindex != ifindex }
        return true
    }

    private mutating func keepProofs(of domain: DomainUUID, where isKept: (Place, Proof) -> Bool) {
        guard let all = proofs[domain] else { return }
        let kept = all.filter { isKept($0.key, $0.value) }
        guard kept.count < all.count else { return }
        proofs[domain] = kept.isEmpty ? nil : kept
        for proof in all.values where !kept.values.contains(where: { $0.ifindex == proof.ifindex }) { owners[proof.ifindex] = nil }
    }
}
