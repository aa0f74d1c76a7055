// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import TapModel

/// Where copies go: what destinations are, what the kernel's map has of them, and the host's `<limit>`.
extension Reconciler {
    /// Writes into the kernel's map where copies for this domain's taps go, also what it was given before: somebody may have
    /// removed the map meanwhile.
    func writeDestinations(of uuid: DomainUUID) {
        for verdict in domains[uuid]?.view.verdicts ?? [] where !verdict.desired.isEmpty {
            if case .evaluated(let destination, _) = verdict.outcome { write(destination, anew: true) }
        }
    }

    /// Evaluates every destination of the configuration again, and the taps of domains that use one that is not what it was.
    /// Where copies go is written for the kernel also before libvirt has answered.
    func refreshDestinations() {
        guard configuration.missing == nil else { return stopDestinationsOfGuests() }
        let host = readHost()
        let used = attachments.destinations
        var changed: Set<String> = []
        for definition in configuration.value.destinations {
            guard case .success(let verdict) = DestinationEvaluation.evaluate(definition, host: host) else { continue }
            if destinations.note(verdict) { changed.insert(verdict.label) }
            // Of one that waits for its route the next daemon is to know it, too, whether or not a tap uses it yet.
            let isRefused = verdict.failure?.reason == .defaultRoute && !configuration.isPaused
            if used.contains(verdict.label) || isRefused { write(verdict) }
        }
        do {
            try dataplane.refreshOffloads()
        } catch {
            logger.debug("\(error.message)")
        }
        guard !changed.isEmpty else { return }
        for (uuid, known) in domains.running where known.view.verdicts.contains(where: { $0.copies(toAnyOf: changed) }) {
            evaluate(uuid, on: host)
            noteStates(of: uuid)
        }
    }

    /// What destinations ought to be is not known without a configuration, but where no copy may go is: to an interface that has become
    /// a guest's, or leads to guests. What is stopped goes on when there is a configuration that says so.
    private func stopDestinationsOfGuests() {
        guard let records = try? dataplane.destinations() else { return }
        let host = readHost()
        for record in records where record.kind == .interface && record.ifindex != 0 {
            guard let device = devices[record.ifindex], case .never(let why) = InterfaceSafety.verdict(on: device, host: host) else {
                continue
            }
            do {
                _ = try dataplane.setDestination(record.label, DestinationRoute(kind: .interface, ifindex: 0))
                destinations.forget(record.label)
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
        let before = domains.enlist(uuid, entry)
        guard before != entry else { return }
        guard isSensor(uuid, before) || isSensor(uuid, entry) else { return }
        // Else the devices of its last run would pass for this one's.
        if let live = domains[uuid]?.view.live { refreshDevices(of: live) }
        refreshDestinations()
    }

    /// Evaluates the destinations that are in this domain again, of which devices may have been missing before.
    func refreshDestinations(in uuid: DomainUUID) {
        if isSensor(uuid, domains.directory[uuid]) { refreshDestinations() }
    }

    /// Whether a destination of the configuration names this domain.
    func isSensor(_ uuid: DomainUUID, _ entry: DomainDirectory.Entry?) -> Bool { !destinations(in: uuid, called: entry?.name).isEmpty }

    /// The destinations of the configuration that name this domain.
    func destinations(in uuid: DomainUUID, called own: String?) -> [DestinationDefinition] {
        configuration.value.destinations.filter {
            guard case .domain(let name, let expected, _, _) = $0.target else { return false }
            return expected == uuid || (name != nil && name == own)
        }
    }

    /// Writes one into the kernel's map, unless the map has just that, and logs what has changed.
    ///
    /// - Parameter anew: writes it in any case.
    func write(_ verdict: DestinationVerdict, anew: Bool = false) {
        // What the daemon before this one knew of its way may be in pins that could not be read yet.
        if verdict.route.tunnel?.isSpecificRoute == false, !underlay.isRecalled { return request(.all, after: 1) }
        let before = destinations[verdict.label]
        do {
            let route = try route(for: verdict)
            if anew || before?.route != route {
                if try dataplane.setDestination(verdict.label, route), attachments.count > 0 { request(.all) }
            }
            destinations.wrote(verdict, route)
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

    /// Frees the slots of destinations that nothing uses and the configuration does not define.
    func forgetUnusedDestinations() {
        // If the configuration is missing, nothing is known to be unused. What the map says of ways must be read before it is cleared.
        guard configuration.missing == nil, underlay.isRecalled else { return }
        // Which destinations the attachments of a later version use is not known either.
        guard !attachments.all.contains(where: \.isOfLaterVersion) else { return }
        let used = attachments.destinations
            .union(configuration.value.destinations.map(\.name.text))
            .union(domains.all.values.flatMap { $0.view.verdicts.flatMap(\.desired).map(\.options.destination) })
        guard let records = try? dataplane.destinations() else { return }
        let unused = records.filter { !used.contains($0.label) }
        if unused.contains(where: \.kind.isTunnel) { keepWays() }
        for record in unused {
            try? dataplane.forgetDestination(record.label)
            destinations.forget(record.label)
        }
    }

    /// Writes with the configuration's other destinations which ways their machines had, before the entries of a destination that
    /// said so go: its name may be all that has changed.
    private func keepWays() {
        let host = readHost()
        for definition in configuration.value.destinations {
            guard case .tunnel(let tunnel) = definition.target, let remote = IPAddress.bytes(tunnel.remote),
                underlay.specificRoutes[remote] != nil,
                case .success(let verdict) = DestinationEvaluation.evaluate(definition, host: host)
            else { continue }
            write(verdict)
        }
    }

    // MARK: - The limit

    /// Reads how much was copied since the last time, and stops and resumes destinations as the limit says.
    func measureCopies() {
        do throws(Failure) {
            let limit = configuration.value.limit
            let records = limit == nil ? [] : try dataplane.destinations()
            guard destinations.measure(records, limit: limit, at: clock.monotonic()) else { return }
        } catch {
            // Where nothing can be read nothing can be stopped either; what is stopped stays so.
            return noteKernelTrouble(error)
        }
        refreshDestinations()
        refreshInlineDestinations()
    }
}
