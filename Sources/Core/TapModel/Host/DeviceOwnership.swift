// SPDX-License-Identifier: LGPL-2.1-or-later

/// Decides whether a netdev is the host side of a domain's interface: the only devices that are tapped.
///
/// It is what libvirt's live XML of the running domain (or the hook's, at its start) names, for a type of interface that has a device;
/// a tap or macvtap device; held open by somebody; and no other running domain names it. Its MAC address is no condition and no
/// evidence: udev, agents and OpenStack's drivers give tap devices others than libvirt's, and a trusted guest changes its macvtap's.
///
/// Once that was found it holds for as long as the device lives, whatever it is called and whoever else names it then
/// (`DeviceClaims.Proof`): its name, too, is only what it was found by.
public enum DeviceOwnership {
    /// A device that is an interface's.
    public struct Owned: Hashable, Sendable {
        public var device: HostDevice
        /// The guest's address, as the XML has it.
        public var mac: MACAddress
        /// What libvirt calls the device.
        public var name: String
        /// What it was like when it was proved.
        public var traits: DeviceTraits
    }

    /// The device of `interface`, or why it is not to be touched.
    ///
    /// - Parameter directory: for the name of another domain that has it.
    public static func device(
        of interface: DomainInterface, in domain: DomainUUID, devices: DeviceTable, claims: DeviceClaims,
        directory: DomainDirectory = DomainDirectory()
    ) -> Result<Owned, Failure> {
        guard interface.type.hasDevice else {
            return .failure(unsupported(interface))
        }
        guard let name = interface.device else {
            return .failure(
                Failure(
                    .deviceGone, "libvirt names no device for this interface yet", advice: "it is read again at the domain's next event"))
        }
        guard let mac = interface.mac else {
            return .failure(
                Failure(.deviceNotOwned, "the interface has no MAC address, which libvirt gives every one: \(name) is left alone"))
        }
        if let proof = claims.proof(of: interface, in: domain), let device = devices[proof.ifindex], device.kind == proof.kind {
            return .success(Owned(device: device, mac: mac, name: name, traits: proof.traits))
        }
        guard let device = devices[name] else {
            return .failure(
                Failure(
                    .deviceGone,
                    "device \(name) is not there: the guest stops, its interface was removed, somebody gave the device another name before "
                        + "it was seen, or virt-tapd runs in another network namespace", advice: "it is tapped as soon as it appears"))
        }
        if let why = implausibility(of: device) { return .failure(notOwned(name, why)) }
        if let other = claims.others(than: domain, claiming: device).first {
            let its = directory[other].map { "\($0.name.printable) (UUID \(other))" } ?? "with UUID \(other)"
            let why =
                claims.owner(of: device.index) == other
                ? "it was found to be the device of the running domain \(its) before, which keeps it"
                : "the running domain \(its) names it as well, and two guests cannot have one device"
            return .failure(notOwned(name, why))
        }
        return .success(Owned(device: device, mac: mac, name: name, traits: DeviceTraits(device)))
    }

    /// Whether a device that copies for a domain went to, when the daemon before this one ran, is the domain's by another name: it is
    /// held, nobody names it or has it proved, and of all interfaces of all running domains that one alone has no device.
    ///
    /// - Parameter claims: of every running domain.
    public static func isFormer(
        _ device: HostDevice, of interface: DomainInterface, in domain: DomainUUID, devices: DeviceTable, claims: DeviceClaims
    ) -> Bool {
        guard implausibility(of: device) == nil, (device.kind == .macvtap) == (interface.type == .direct),
            claims.owner(of: device.index) == nil,
            claims.others(than: nil, claiming: device).isEmpty
        else { return false }
        let missing = claims.interfaces(missingIn: devices)
        return missing.count == 1 && missing[0].domain == domain && missing[0].interface == interface
    }

    /// Whether `device` can be the host side of `interface` by name and kind, whoever else names it.
    public static func isPlausible(_ device: HostDevice, for interface: DomainInterface) -> Bool {
        interface.type.hasDevice && interface.device == device.name && interface.mac != nil && implausibility(of: device) == nil
    }

    /// Why a device can be no guest's, or not at the moment.
    private static func implausibility(of device: HostDevice) -> String? {
        switch device.kind {
        case .tap: device.isHeld ? nil : "nobody holds it open, as QEMU does with a guest's"
        // Nobody tells whether its character device is open.
        case .macvtap: nil
        default: "it is \(describe(device.kind)), not the tap or macvtap device of a guest"
        }
    }

    private static func notOwned(_ name: String, _ why: String) -> Failure {
        Failure(.deviceNotOwned, "\(name) is not this interface's device: \(why). It is left alone")
    }

    private static func describe(_ kind: HostDevice.Kind) -> String {
        switch kind {
        case .tap: "a tap device"
        case .tun: "a tun device without Ethernet headers"
        case .macvtap: "a macvtap device"
        case .bridge: "a bridge"
        case .loopback: "the loopback device"
        case .other(""): "a physical or paravirtual NIC"
        case .other(let kind): "a device of kind \(kind)"
        }
    }

    private static func unsupported(_ interface: DomainInterface) -> Failure {
        let mirrorPort = "use the adapter's or the switch's own mirror port"
        let otherType = "use type network or bridge"
        let (why, advice): (String, String) =
            switch interface.type {
            case .hostdev, .vdpa:
                ("its frames go from the adapter to the guest without passing the host's kernel", mirrorPort)
            case .vhostuser where interface.backend == "passt":
                ("passt turns its frames into connections of the host, which has no device for it", otherType)
            case .vhostuser:
                (
                    "its frames go through shared memory to another process, mostly Open vSwitch with DPDK or VPP",
                    "use that switch's own mirror"
                )
            case .user: ("QEMU or passt turns its frames into connections of the host, which has no device for it", otherType)
            case .mcast, .udp, .server, .client:
                ("QEMU carries its frames inside a socket of its own and the host has no device for it", otherType)
            case .other("null"): ("it is connected to nothing", otherType)
            default: ("virt-tap knows no host device for it", otherType)
            }
        return Failure(.interfaceTypeUnsupported, "interface type \(interface.type.text) cannot be tapped: \(why)", advice: advice)
    }
}

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
