// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import TapModel
import TapXML

/// What is known of domains: libvirt's word on them, and which devices are theirs.
extension Reconciler {
    /// Takes libvirt's word on a domain, unless something newer is known.
    func record(_ snapshot: DomainSnapshot, asked: Double) {
        let uuid = snapshot.uuid
        switch domains.record(snapshot, asked: asked, at: clock.monotonic(), devices: devices, parse: parseDomain) {
        case .outdated:
            request(.domain(uuid))
        case .starting:
            logger.debug("\(label(uuid)): shut off for libvirt, but its start is under way")
            request(.domain(uuid), after: 2)
        case .recorded(let known):
            noteTaps(of: known, snapshot, asked: asked)
            claim(known.view.live?.interfaces ?? [], for: uuid)
            enlist(uuid, DomainDirectory.Entry(snapshot, interfaces: known.view.live?.interfaces))
        }
    }

    /// libvirt says that there is no such domain.
    func recordAbsence(_ uuid: DomainUUID, asked: Double) {
        guard domains.mayBeAbsent(uuid, asked: asked, at: clock.monotonic(), devices: devices) else { return }
        // No event says whether somebody holds its device while that is down, so the devices are read. For a thousand domains at once that is done once.
        if !attachments.of(uuid).isEmpty, knownDevices.readAt <= asked { devicesChanged() }
        domains.recordAbsence(uuid)
        tapLosses.gone(uuid, at: clock.monotonic())
        claim([], for: uuid)
        enlist(uuid, nil)
        tapStates.forget(uuid)
    }

    /// Notes which devices a domain names. Domains that name one that it gave up are read again.
    func claim(_ interfaces: [DomainInterface], for uuid: DomainUUID) {
        let (heirs, changed) = domains.claim(interfaces, for: uuid)
        for heir in heirs { request(.domain(heir)) }
        // A guest's device is no safe destination.
        let isDestination = configuration.value.destinations.contains {
            if case .interface(let name, _) = $0.target { changed.contains(devices.device(called: name)?.name ?? name) } else { false }
        }
        if isDestination || (configuration.missing != nil && !changed.isEmpty) { refreshDestinations() }
    }

    /// Notes which devices are found to be a running domain's, which they are from then on.
    func prove(_ uuid: DomainUUID) {
        let isSensor = isSensor(uuid, domains.directory[uuid])
        let own = isSensor ? destinations(in: uuid, called: domains[uuid]?.view.live?.name) : []
        domains.prove(uuid, devices, destinations: own.map(\.name.text))
    }

    /// Logs what somebody changed of a guest's device.
    func logChangedDevices(since before: DeviceTable) {
        for device in devices.all {
            guard let former = before[device.index], former != device, let owner = domains.claims.owner(of: device.index) else { continue }
            let changes = DeviceTraits(former).changes(to: device, called: former.name)
            guard !changes.isEmpty else { continue }
            logger.info("\(label(owner)): its device \(former.name.printable) was changed: \(changes.joined(separator: "; ").printable)")
        }
    }

    /// Reads a domain's XML.
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
