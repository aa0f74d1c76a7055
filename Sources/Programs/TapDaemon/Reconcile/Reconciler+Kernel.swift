// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import TapModel

/// The kernel side as a whole: devices, attachments, what others removed, and whether it can be used at all.
extension Reconciler {
    /// Reads the host's devices. After an error the last known ones stand.
    func refreshDevices() {
        do {
            let now = clock.monotonic()
            knownDevices.replace(try dataplane.devices(), readAt: now)
            domains.forgetProofs(without: devices)
        } catch {
            noteKernelTrouble(error)
        }
    }

    /// Reads the devices that a domain names, of which an event may not have come yet. Reading all of them instead would
    /// cost milliseconds on a host with many.
    func refreshDevices(of domain: DomainDefinition) {
        guard !devices.all.isEmpty else { return refreshDevices() }
        for name in Set(domain.interfaces.compactMap(\.device)) {
            do {
                // Of one that somebody gave another name that one counts.
                let proof = domains.claims.proof(ofDevice: name, in: domain.uuid)
                let current = proof.flatMap { devices[$0.ifindex]?.name } ?? name
                let device = try dataplane.device(named: current)
                // The one that was proved is gone, or was given another name since; what else changed is noticed with it.
                if let proof, proof.ifindex != device?.index { return devicesChanged() }
                knownDevices.update(current, device)
            } catch {
                noteKernelTrouble(error)
            }
        }
    }

    /// Reads everything that is pinned. After an error the last known stand: nothing can be attached then, but what is
    /// desired is evaluated all the same, since status has to say why it fails.
    func refreshAttachments() {
        do {
            try dataplane.lock()
            attachments.replace(try dataplane.attachments())
            if kernelTrouble != nil { logger.notice("the kernel side can be used again") }
            kernelTrouble = nil
        } catch {
            noteKernelTrouble(error)
        }
    }

    /// Checks every attachment for what somebody else removed, or went in front of. - Returns: seconds until it is done again.
    ///
    /// The kernel tells nobody when a link is detached, so it is asked: about once per second, and less often where there
    /// is so much to ask about that it would cost more than a quarter of a per cent of a processor. Time that it waits (for RTNL,
    /// which others hold, or for a processor) does not count: else nothing would be checked while the host is busy.
    func sweep() async -> Double {
        checkPins()
        let begin = clock.processor()
        let isMended = keepPorts(isComplete: false)
        // What is mended is rare, and must not put the next sweep off: whoever removed it once may do so again.
        var spent = isMended ? 0 : clock.processor() - begin
        if isMended { refreshDestinations() }
        var left = attachments.all[...]
        while !left.isEmpty {
            let start = clock.processor()
            for last in left.prefix(64) {
                do throws(Failure) {
                    if let uuid = last.spec?.key.domain, try !dataplane.isUndisturbed(last) { request(.domain(uuid)) }
                } catch {
                    noteKernelTrouble(error)
                }
            }
            left = left.dropFirst(64)
            spent += clock.processor() - start
            // A hook must not wait for the whole sweep.
            await Task.yield()
        }
        return max(1, spent * 400)
    }

    /// Whether bpffs is where it was: programs go on without it, but nobody finds them again.
    private func checkPins() {
        do {
            _ = try dataplane.mechanism(for: configuration.value.mechanism)
            if kernelTrouble?.reason == .bpffsNotMounted { request(.all) }
        } catch {
            if kernelTrouble != error { request(.all) }
            noteKernelTrouble(error)
        }
    }

    /// Notes why the kernel side cannot be used, and logs it once.
    func noteKernelTrouble(_ failure: Failure) {
        if kernelTrouble != failure { logger.error("\(failure.message)", metadata: ["reason": "\(failure.reason.rawValue)"]) }
        kernelTrouble = failure
    }

    // MARK: - Destinations

    /// Tells the destination map where copies for this domain's taps go, also what it was told before: somebody may have
    /// removed the map meanwhile.
    func setDestinations(of uuid: DomainUUID) {
        for verdict in domains[uuid]?.view.verdicts ?? [] where !verdict.desired.isEmpty {
            if case .evaluated(let destination, _) = verdict.outcome { set(destination, anew: true) }
        }
    }

    /// Looks again at every destination of the configuration, and at the domains that use one that is not what it was.
    /// Where copies go is told to the kernel also before libvirt has answered.
    func refreshDestinations() {
        guard configuration.missing == nil else { return stopDestinationsOfGuests() }
        let host = hostState
        let used = Set(attachments.all.compactMap { $0.spec?.options.destination })
        var changed: Set<String> = []
        for definition in configuration.value.destinations {
            guard case .success(let verdict) = DestinationEvaluation.evaluate(definition, host: host) else { continue }
            if destinationsSeen.updateValue(verdict, forKey: verdict.label) != verdict { changed.insert(verdict.label) }
            // Of one that waits for its route the next daemon is to know it, too, whether or not a tap uses it yet.
            let isRefused = verdict.failure?.reason == .defaultRoute && !isPaused
            if used.contains(verdict.label) || isRefused { set(verdict) }
        }
        do {
            try dataplane.refreshOffloads()
        } catch {
            logger.debug("\(error.message)")
        }
        guard !changed.isEmpty else { return }
        for (uuid, known) in domains where known.view.isRunning && known.view.verdicts.contains(where: { $0.copies(toAnyOf: changed) }) {
            evaluate(uuid, on: host)
            noteStates(of: uuid)
        }
    }

    /// What destinations ought to be is not known without a configuration, but where no copy may go is: to an interface that has become
    /// a guest's, or leads to guests. What is stopped goes on when there is a configuration that says so.
    private func stopDestinationsOfGuests() {
        guard let records = try? dataplane.destinations() else { return }
        let host = hostState
        for record in records where record.kind == .interface && record.ifindex != 0 {
            guard let device = devices[record.ifindex], case .never(let why) = InterfaceSafety.verdict(on: device, host: host) else {
                continue
            }
            do {
                _ = try dataplane.setDestination(record.label, DestinationRoute(kind: .interface, ifindex: 0))
                destinations[record.label] = nil
                logger.warning(
                    "destination \(record.label): \(device.name) \(why); nothing is copied there until the configuration can be used",
                    metadata: ["reason": "\(Reason.destinationUnsafe.rawValue)"])
            } catch {
                noteKernelTrouble(error)
            }
        }
    }

    /// Notes what is known of a domain; `nil`: it is not on this host.
    func enlist(_ uuid: DomainUUID, _ entry: DomainDirectory.Entry?) {
        let before = directory[uuid]
        guard before != entry else { return }
        directory[uuid] = entry
        guard isSensor(uuid, before) || isSensor(uuid, entry) else { return }
        // Or what is known of its last run's would be taken for this one's.
        if let live = domains[uuid]?.view.live { refreshDevices(of: live) }
        refreshDestinations()
    }

    /// Looks again at the destinations that are in this domain, of which devices may have been missing before.
    func refreshDestinations(in uuid: DomainUUID) {
        if isSensor(uuid, directory[uuid]) { refreshDestinations() }
    }

    /// Whether a destination of the configuration names this domain.
    func isSensor(_ uuid: DomainUUID, _ entry: DomainDirectory.Entry?) -> Bool { !destinations(in: uuid, called: entry?.name).isEmpty }

    /// The destinations of the configuration that name this domain.
    func destinations(in uuid: DomainUUID, called own: String?) -> [DestinationDefinition] {
        configuration.value.destinations.filter {
            guard case .domain(let name, let wanted, _, _) = $0.target else { return false }
            return wanted == uuid || (name != nil && name == own)
        }
    }

    func set(_ verdict: DestinationVerdict, anew: Bool = false) {
        // What the daemon before this one knew of its way may be in pins that could not be read yet.
        if verdict.route.tunnel?.isSpecificRoute == false, !areWaysRecalled { return request(.all, after: 1) }
        let before = destinations[verdict.label]
        do {
            let route = try route(for: verdict)
            if anew || before?.route != route {
                if try dataplane.setDestination(verdict.label, route), attachments.count > 0 { request(.all) }
            }
            destinations[verdict.label] = (verdict, route)
            if let remark = verdict.remark, before?.verdict.remark != remark {
                logger.warning("destination \(verdict.label): \(remark.message)", metadata: ["reason": "\(remark.reason.rawValue)"])
            }
            guard before?.verdict.failure != verdict.failure else { return }
            switch (before?.verdict.failure, verdict.failure) {
            case (_, let failure?): logger.warning("\(failure.message)", metadata: ["reason": "\(failure.reason.rawValue)"])
            case (.some, nil): logger.notice("destination \(verdict.label) takes copies again")
            case (nil, nil): break
            }
        } catch {
            noteKernelTrouble(error)
        }
    }

    /// Where copies go, as far as it is known; else where they went, if that is still a guest's device.
    private func route(for verdict: DestinationVerdict) throws(Failure) -> DestinationRoute {
        guard verdict.device == .unknown else { return verdict.route }
        var last = destinations[verdict.label]?.route.ifindex
        if last == nil { last = try dataplane.destinations().first { $0.label == verdict.label }?.ifindex }
        return verdict.route(keeping: last.flatMap { devices[$0] })
    }

    /// Frees the places of destinations that nothing uses and the configuration does not define.
    func forgetUnusedDestinations() {
        // Which it defines is not known.
        guard configuration.missing == nil, areWaysRecalled else { return }
        // Nor which ones a later version's attachments use.
        guard !attachments.all.contains(where: \.isForeign) else { return }
        let used = Set(attachments.all.compactMap { $0.spec?.options.destination })
            .union(configuration.value.destinations.map(\.name.text))
            .union(domains.values.flatMap { $0.view.verdicts.flatMap(\.desired).map(\.options.destination) })
        guard let records = try? dataplane.destinations() else { return }
        let unused = records.filter { !used.contains($0.label) }
        if unused.contains(where: \.kind.isTunnel) { keepWays() }
        for record in unused {
            try? dataplane.forgetDestination(record.label)
            destinations[record.label] = nil
        }
    }
    /// Writes with the configuration's other destinations which ways their machines had, before the entries of a destination that
    /// said so go: its name may be all that has changed.
    private func keepWays() {
        let host = hostState
        for definition in configuration.value.destinations {
            guard case .tunnel(let tunnel) = definition.target, let remote = IPAddress.bytes(tunnel.remote), specificRoutes[remote] != nil,
                case .success(let verdict) = DestinationEvaluation.evaluate(definition, host: host)
            else { continue }
            set(verdict)
        }
    }
}
