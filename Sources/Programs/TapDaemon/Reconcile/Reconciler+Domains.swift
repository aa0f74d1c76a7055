// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import TapModel
import TapXML

/// What is known of domains: libvirt's word on them, and which devices are theirs.
extension Reconciler {
    /// Takes libvirt's word on a domain, unless something newer is known.
    func take(_ snapshot: DomainSnapshot, asked: Double) {
        var known = domains[snapshot.uuid] ?? KnownDomain(view: DomainView(uuid: snapshot.uuid, name: snapshot.name, isRunning: false))
        guard asked >= known.asOf else { return request(.domain(snapshot.uuid)) }
        if !snapshot.isRunning, isStarting(known) {
            logger.debug("\(label(snapshot.uuid)): shut off for libvirt, but its start is under way")
            request(.domain(snapshot.uuid), after: 2)
            return
        }
        known.asOf = asked
        known.isArriving = snapshot.isRunning && (known.isArriving || !known.view.isRunning)
        known.view.name = snapshot.name
        known.view.isRunning = snapshot.isRunning
        known.startedByHook = nil
        known.isLibvirts = true
        if !snapshot.isRunning { known.view.uncalledStart = nil }
        known.take(live: snapshot.isRunning ? snapshot.liveXML : [], persistent: snapshot.persistentXML, parse: parseDomain)
        domains[snapshot.uuid] = known
        noteWishes(of: known, snapshot, asked: asked)
        absent.remove(snapshot.uuid)
        changes += 1
        claim(known.view.live?.interfaces ?? [], for: snapshot.uuid)
        enlist(snapshot.uuid, DomainDirectory.Entry(snapshot, interfaces: known.view.live?.interfaces))
    }

    /// libvirt says that there is no such domain.
    func disappeared(_ uuid: DomainUUID, asked: Double) {
        if let known = domains[uuid] {
            guard asked >= known.asOf, !isStarting(known) else { return }
        }
        // Whether somebody holds what it had is no event where that is down. A thousand domains that are asked for together need it once.
        if !attachments.of(uuid).isEmpty, devicesRead <= asked { devicesChanged() }
        domains[uuid] = nil
        wishes.gone(uuid, at: clock.monotonic())
        absent.insert(uuid)
        changes += 1
        claim([], for: uuid)
        enlist(uuid, nil)
        lastStates[uuid] = nil
    }

    /// Notes which devices a domain names. Who names one that it gave up is looked at again.
    func claim(_ interfaces: [DomainInterface], for uuid: DomainUUID) {
        let before = claims.devices(namedBy: uuid)
        for heir in claims.set(interfaces, of: uuid) { request(.domain(heir)) }
        // A guest's device is no safe destination.
        let changed = claims.devices(namedBy: uuid).symmetricDifference(before)
        let isDestination = configuration.value.destinations.contains {
            if case .interface(let name, _) = $0.target { changed.contains(devices.device(called: name)?.name ?? name) } else { false }
        }
        if isDestination || (configuration.missing != nil && !changed.isEmpty) { refreshDestinations() }
    }

    /// Notes which devices are found to be a running domain's, which they are from then on.
    func prove(_ uuid: DomainUUID) {
        guard let view = domains[uuid]?.view, view.isRunning, let live = view.live else { return }
        for interface in live.interfaces {
            let proof = claims.proof(of: interface, in: uuid)
            guard case .success(let owned) = DeviceOwnership.device(of: interface, in: uuid, devices: devices, claims: claims),
                owned.device.index != proof?.ifindex
            else { continue }
            claims.prove(owned.device, is: interface, of: uuid)
        }
        if directory.isComplete, isSensor(uuid, directory[uuid]) { proveFormer(uuid, live) }
    }

    /// Finds the device of a sensor VM again that was given another name in the life of the daemon before this one.
    private func proveFormer(_ uuid: DomainUUID, _ live: DomainDefinition) {
        let former = destinations(in: uuid, called: live.name).compactMap { definition in
            formerSensors[definition.name.text].flatMap { devices[$0] }
        }
        for device in former {
            let interface = live.interfaces.first {
                DeviceOwnership.isFormer(device, of: $0, in: uuid, devices: devices, claims: claims)
            }
            if let interface { claims.prove(device, is: interface, of: uuid) }
        }
    }

    /// Says what somebody changed of a guest's device.
    func tellOfChangedDevices(since before: DeviceTable) {
        for device in devices.all {
            guard let former = before[device.index], former != device, let owner = claims.owner(of: device.index) else { continue }
            let changes = DeviceTraits(former).changes(to: device, called: former.name)
            guard !changes.isEmpty else { continue }
            logger.info("\(label(owner)): its device \(former.name.printable) was changed: \(changes.joined(separator: "; ").printable)")
        }
    }

    /// Whether the hook said a short while ago that the domain starts, and its devices are still there.
    private func isStarting(_ known: KnownDomain) -> Bool {
        guard let started = known.startedByHook, clock.monotonic() - started < KnownDomain.startGrace else { return false }
        return known.view.live?.interfaces.contains { interface in
            interface.device.flatMap { devices[$0] } ?? claims.proof(of: interface, in: known.view.uuid).flatMap { devices[$0.ifindex] }
                != nil
        } ?? false
    }

    func parseDomain(_ bytes: [UInt8]) -> Result<DomainDefinition, Failure> {
        Result { () throws(Failure) in
            do {
                return try DomainXML.parse(bytes)
            } catch {
                throw Failure(.invalidMetadata, "the domain's XML cannot be read: \(error)")
            }
        }
    }

    /// A domain as the log names it.
    func label(_ uuid: DomainUUID) -> String {
        domains[uuid].map { "\($0.view.name.printable)" } ?? "domain \(uuid)"
    }

}
