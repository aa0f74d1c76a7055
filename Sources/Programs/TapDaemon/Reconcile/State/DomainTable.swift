// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// What is known of this host's domains: what libvirt or the hook said of each, which devices are theirs, and which domains copies may be
/// sent to. Times are seconds of a clock that does not jump.
struct DomainTable {
    /// What became of libvirt's word on a domain.
    enum Answer {
        /// It is known now.
        case recorded(KnownDomain)
        /// Something newer is known.
        case outdated
        /// The hook said a short while ago that it starts, and libvirt does not know it yet.
        case starting
    }

    /// The version of the libvirt that is, or was, listened to.
    private(set) var libvirtVersion: String?
    /// Why libvirt cannot be asked; `nil`: it can.
    private(set) var disconnected: String? = "not connected yet"
    private var known: [DomainUUID: KnownDomain] = [:]
    /// Domains of which libvirt said, over this connection, that they do not exist.
    private var absent: Set<DomainUUID> = []
    /// Which domains name which devices, and which devices were found to be theirs.
    private(set) var claims = DeviceClaims()
    /// Which domains there are, to find those that copies go to.
    private(set) var directory = DomainDirectory()
    /// The devices of sensor VMs that the daemon before this one sent copies to, by destination.
    private var formerSensors: [String: UInt32] = [:]
    /// Counts changes that a plan depends on.
    private(set) var generation = 0

    subscript(uuid: DomainUUID) -> KnownDomain? { known[uuid] }

    var all: [DomainUUID: KnownDomain] { known }

    var running: [DomainUUID: KnownDomain] { known.filter(\.value.view.isRunning) }

    /// Whether libvirt said, over this connection, that there is no such domain.
    func isAbsent(_ uuid: DomainUUID) -> Bool { absent.contains(uuid) }

    // MARK: What libvirt says

    var isConnected: Bool { disconnected == nil }

    /// There is a new connection, maybe to a libvirt that knows other domains.
    mutating func connected(_ version: String) {
        (libvirtVersion, disconnected) = (version, nil)
        absent = []
    }

    /// libvirt cannot be asked any more: what is known stands.
    mutating func disconnected(_ why: String) { disconnected = why }

    /// libvirt has listed all domains, and they are recorded.
    mutating func listed() { directory.isComplete = true }

    /// Takes libvirt's word on a domain, unless something newer is known.
    ///
    /// - Parameters:
    ///   - asked: when libvirt was asked for it.
    ///   - now: the time.
    mutating func record(
        _ snapshot: DomainSnapshot, asked: Double, at now: Double, devices: DeviceTable,
        parse: ([UInt8]) -> Result<DomainDefinition, Failure>
    ) -> Answer {
        var one = known[snapshot.uuid] ?? KnownDomain(view: DomainView(uuid: snapshot.uuid, name: snapshot.name, isRunning: false))
        guard asked >= one.asOf else { return .outdated }
        if !snapshot.isRunning, isStarting(one, at: now, devices) { return .starting }
        one.record(snapshot, asked: asked, parse: parse)
        known[snapshot.uuid] = one
        absent.remove(snapshot.uuid)
        generation += 1
        return .recorded(one)
    }

    /// Whether libvirt's word that there is no such domain counts: nothing newer is known, and its start is not under way.
    func mayBeAbsent(_ uuid: DomainUUID, asked: Double, at now: Double, devices: DeviceTable) -> Bool {
        guard let one = known[uuid] else { return true }
        return asked >= one.asOf && !isStarting(one, at: now, devices)
    }

    /// Notes that libvirt said that there is no such domain.
    mutating func recordAbsence(_ uuid: DomainUUID) {
        known[uuid] = nil
        absent.insert(uuid)
        generation += 1
    }

    // MARK: What the hook says

    /// Takes in a domain that the hook is called for, as it will run.
    /// - Parameter isStart: whether this is the beginning of a run: what was proved of the run before does not count.
    mutating func recordStart(_ definition: DomainDefinition, xml: [UInt8], isStart: Bool, at now: Double) {
        let uuid = definition.uuid
        var one = known[uuid] ?? KnownDomain(view: DomainView(uuid: uuid, name: definition.name, isRunning: true))
        one.recordStart(definition, xml: xml, at: now)
        if isStart { one.startedByHook = now }
        known[uuid] = one
        absent.remove(uuid)
        generation += 1
        if isStart { claims.forgetProofs(of: uuid) }
    }

    /// Notes that a domain stops: libvirt confirms it.
    /// - Parameter isReleased: whether it has given its devices up: who gets one of them next, at once maybe, must not pass for a thief.
    ///   Its claims are then to be set to none.
    mutating func recordStop(_ uuid: DomainUUID, isReleased: Bool, at now: Double) {
        known[uuid]?.startedByHook = nil
        if isReleased { known[uuid]?.asOf = now }
    }

    /// Whether the hook said a short while ago that the domain starts, and its devices are still there.
    private func isStarting(_ one: KnownDomain, at now: Double, _ devices: DeviceTable) -> Bool {
        guard let started = one.startedByHook, now - started < KnownDomain.startGrace else { return false }
        return one.view.live?.interfaces.contains { interface in
            interface.device.flatMap { devices[$0] } ?? claims.proof(of: interface, in: one.view.uuid).flatMap { devices[$0.ifindex] }
                != nil
        } ?? false
    }

    // MARK: What is decided

    mutating func setVerdicts(_ verdicts: [TapVerdict], of uuid: DomainUUID) { known[uuid]?.view.verdicts = verdicts }

    /// Notes when a domain was started without a call of the hook; `nil`: it was not, as far as is known.
    mutating func setUncalledStart(_ time: Timestamp?, of uuid: DomainUUID) { known[uuid]?.view.uncalledStart = time }

    /// Notes that the taps of a domain that was seen to start are in place.
    mutating func arrived(_ uuid: DomainUUID) { known[uuid]?.isArriving = false }

    // MARK: Devices

    /// Notes which devices a domain names; none: it does not run.
    /// - Returns: the other domains that name a device which this one gave up, and the names that it names now and did not, or no longer.
    mutating func claim(_ interfaces: [DomainInterface], for uuid: DomainUUID) -> (heirs: Set<DomainUUID>, changed: Set<String>) {
        let before = claims.devices(namedBy: uuid)
        let heirs = claims.set(interfaces, of: uuid)
        return (heirs, claims.devices(namedBy: uuid).symmetricDifference(before))
    }

    /// Notes which devices are found to be a running domain's, which they are from then on.
    /// - Parameter destinations: the names of the destinations that are in this domain.
    mutating func prove(_ uuid: DomainUUID, _ devices: DeviceTable, destinations: [String]) {
        guard let view = known[uuid]?.view, view.isRunning, let live = view.live else { return }
        for interface in live.interfaces {
            let proof = claims.proof(of: interface, in: uuid)
            guard case .success(let owned) = DeviceOwnership.device(of: interface, in: uuid, devices: devices, claims: claims),
                owned.device.index != proof?.ifindex
            else { continue }
            claims.prove(owned.device, is: interface, of: uuid)
        }
        guard directory.isComplete else { return }
        // The device of a sensor VM that was given another name in the life of the daemon before this one.
        for device in destinations.compactMap({ formerSensors[$0].flatMap { devices[$0] } }) {
            let interface = live.interfaces.first {
                DeviceOwnership.isFormer(device, of: $0, in: uuid, devices: devices, claims: claims)
            }
            if let interface { claims.prove(device, is: interface, of: uuid) }
        }
    }

    /// Adopts the owners of tapped devices. A tapped device's owner was proved when it was tapped: after a restart no other domain gets the
    /// device by being listed first, and a rename of the device does not change its owner. A program of ours that is still on it proves
    /// that it is the same device, and not another one with its ifindex.
    mutating func adopt(_ attachments: [ObservedAttachment], _ devices: DeviceTable) {
        let alive = attachments.filter { !$0.isDead && $0.position != nil }
        for (uuid, specs) in Dictionary(grouping: alive.compactMap(\.spec), by: \.key.domain) {
            let proved = specs.map { spec in
                let interface = spec.interface
                return (
                    spec,
                    DomainInterface(alias: interface.alias, mac: interface.mac, type: interface.type, device: interface.device)
                )
            }
            claims.set(proved.map(\.1), of: uuid)
            for (spec, interface) in proved {
                guard let device = devices[spec.key.ifindex], (device.kind == .macvtap) == spec.interface.isMacvtap else { continue }
                claims.prove(device, is: interface, of: uuid, traits: spec.interface.traits)
            }
        }
    }

    /// The same of the devices that copies for sensor VMs were sent to.
    mutating func adopt(_ records: [DestinationRecord]) {
        for record in records where record.kind == .domain { formerSensors[record.label] = record.ifindex }
    }

    /// Forgets what was proved of devices that are not there any more.
    mutating func forgetProofs(without devices: DeviceTable) { claims.forgetProofs(without: devices) }

    /// Forgets that devices are proved to be a domain's: they are known to be gone, whatever has their numbers now.
    /// - Returns: whether that changes anything.
    mutating func forgetProofs(of gone: [UInt32], in uuid: DomainUUID) -> Bool {
        gone.filter { claims.forgetProof(of: $0, in: uuid) }.isEmpty == false
    }

    /// The domains for which a change of devices since `before` may mean work: a tapped device that is gone or is not what
    /// it was, and one that a domain names and that is new, gone or was called otherwise, or is in another bridge: nobody else
    /// reports `virsh update-device`.
    func concerned(from before: DeviceTable, to devices: DeviceTable, attachments: [ObservedAttachment]) -> Set<DomainUUID> {
        func changed(_ index: UInt32) -> Bool {
            guard let old = before[index], let new = devices[index] else { return true }
            return old.name != new.name || old.mac != new.mac || old.kind != new.kind || old.masterName != new.masterName
                || old.isHeld != new.isHeld
        }
        var concerned: Set<DomainUUID> = []
        for attachment in attachments {
            guard let key = attachment.spec?.key else { continue }
            if changed(key.ifindex) { concerned.insert(key.domain) }
        }
        for device in devices.all where changed(device.index) {
            concerned.formUnion(claims.domains(naming: device.name))
            if let owner = claims.owner(of: device.index) { concerned.insert(owner) }
        }
        for device in before.all where devices[device.index] == nil { concerned.formUnion(claims.domains(naming: device.name)) }
        return concerned
    }

    // MARK: Directory

    /// Notes what is known of a domain that copies may go to; `nil`: it is not on this host. - Returns: what was known before.
    mutating func enlist(_ uuid: DomainUUID, _ entry: DomainDirectory.Entry?) -> DomainDirectory.Entry? {
        defer { directory[uuid] = entry }
        return directory[uuid]
    }
}

/// What the daemon last heard of one domain.
struct KnownDomain {
    var view: DomainView
    /// Of the bytes that `view.live` and `view.persistent` were read from: the same bytes are not parsed twice.
    private var liveDigest: Int?
    private var persistentDigest: Int?
    /// When the hook last said that the domain starts (monotonic seconds). libvirt reports a domain as shut off until
    /// QEMU runs, and that must not end the tap that the hook has just made.
    var startedByHook: Double?

    /// Whether the libvirt that is listened to has reported it, and not only the hook.
    var isLibvirts = false
    /// Whether it was found started and its taps have not been placed since.
    var isArriving = false
    /// When what is known was asked for (monotonic seconds): an answer to an older question does not count.
    var asOf = -Double.infinity

    init(view: DomainView) { self.view = view }

    /// How long the hook's word stands against libvirt's "shut off".
    static let startGrace = 60.0

    /// Takes what libvirt reported.
    mutating func record(_ snapshot: DomainSnapshot, asked: Double, parse: ([UInt8]) -> Result<DomainDefinition, Failure>) {
        asOf = asked
        isArriving = snapshot.isRunning && (isArriving || !view.isRunning)
        view.name = snapshot.name
        view.isRunning = snapshot.isRunning
        startedByHook = nil
        isLibvirts = true
        if !snapshot.isRunning { view.uncalledStart = nil }
        record(live: snapshot.isRunning ? snapshot.liveXML : [], persistent: snapshot.persistentXML, parse: parse)
    }

    /// Takes what the hook brought: a domain that starts, as it will run.
    mutating func recordStart(_ definition: DomainDefinition, xml: [UInt8], at now: Double) {
        asOf = now
        view.name = definition.name
        view.isRunning = true
        view.unreadable = nil
        view.live = definition
        liveDigest = Self.digest(xml)
    }

    /// Replaces both definitions, each parsed only when its bytes changed.
    private mutating func record(live: [UInt8], persistent: [UInt8]?, parse: ([UInt8]) -> Result<DomainDefinition, Failure>) {
        let newLive = Self.digest(live)
        if newLive != liveDigest || (view.live == nil && view.unreadable == nil) {
            liveDigest = newLive
            view.unreadable = nil
            view.live = nil
            if !live.isEmpty {
                switch parse(live) {
                case .success(let definition): view.live = definition
                case .failure(let failure): view.unreadable = failure
                }
            }
        }
        let newPersistent = persistent.map(Self.digest)
        if newPersistent != persistentDigest {
            persistentDigest = newPersistent
            view.persistent = persistent.flatMap { try? parse($0).get() }
        }
    }

    /// The XML of a thousand domains would be most of the daemon's memory. Keyed anew in each process, so that nobody can
    /// choose XML that passes for another.
    private static func digest(_ xml: [UInt8]) -> Int {
        var hasher = Hasher()
        xml.withUnsafeBytes { hasher.combine(bytes: $0) }
        return hasher.finalize()
    }
}
