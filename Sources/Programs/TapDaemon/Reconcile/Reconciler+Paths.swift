// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import TapModel

/// How packets get to the other ends of tunnels: asked of the kernel, followed, and kept alive.
extension Reconciler {
    /// Routes or neighbours of the host changed, or links that they are on.
    func pathsChanged() {
        if !tunnels.isEmpty { request(.paths) }
    }

    /// Reads the way to every tunnel's other end again; what changed is written into the kernel's map.
    ///
    /// - Parameter isConfirming: asks the next hops, too.
    func refreshPaths(isConfirming: Bool) {
        recallWays()
        let queries = tunnels
        guard !queries.isEmpty || !underlay.paths.isEmpty else { return }
        if isConfirming { refreshClock() }
        var isChanged = false
        var confirmed: Set<NextHop> = []
        underlay.keep(queries)
        for query in queries {
            let result = readPath(query)
            if underlay.note(query, result, remotes: Set(queries.map(\.remote))) { isChanged = true }
            // Most other machines are behind one router.
            if isConfirming, case .success(let path) = result, confirmed.insert(NextHop(path)).inserted { confirmNextHop(path) }
        }
        guard isChanged else { return }
        refreshDestinations()
        refreshInlineDestinations()
    }

    /// Reads the ways that a domain's inline destinations need and nobody has asked for yet.
    func readMissingPaths(of uuid: DomainUUID) {
        guard configuration.value.policy.inline != nil, let live = domains[uuid]?.view.live else { return }
        for query in Self.inlineTunnels(live) where underlay.paths[query] == nil {
            underlay.note(query, readPath(query), remotes: Set(tunnels.map(\.remote)))
            request(.paths, after: Schedule.confirmInterval)
        }
    }

    private func readPath(_ query: UnderlayQuery) -> Result<UnderlayPath, Failure> {
        Result { () throws(Failure) in try dataplane.path(for: query) }
    }

    /// Reads from the kernel's map, once, which ways the daemon before this one knew.
    private func recallWays() {
        guard !underlay.isRecalled else { return }
        do {
            underlay.recall(try dataplane.specificRoutes(), devices)
        } catch {
            noteKernelTrouble(error)
        }
    }

    private func refreshClock() {
        do {
            try dataplane.refreshClock()
        } catch {
            logger.debug("\(error.message)")
        }
    }

    private struct NextHop: Hashable {
        let address: [UInt8]
        let ifindex: UInt32

        init(_ path: UnderlayPath) { (address, ifindex) = (path.nextHop, path.ifindex) }
    }

    private func confirmNextHop(_ path: UnderlayPath) {
        do {
            try dataplane.confirmNextHop(path)
        } catch {
            logger.debug("\(error.message)")
        }
    }

    /// Everything that the configuration and the running domains send to other machines.
    private var tunnels: Set<UnderlayQuery> {
        var queries = Set(
            configuration.value.destinations.compactMap { definition -> UnderlayQuery? in
                if case .tunnel(let tunnel) = definition.target { UnderlayQuery(tunnel) } else { nil }
            })
        if configuration.value.policy.inline != nil {
            for known in domains.all.values { if let live = known.view.live { queries.formUnion(Self.inlineTunnels(live)) } }
        }
        return queries
    }

    private static func inlineTunnels(_ domain: DomainDefinition) -> [UnderlayQuery] {
        domain.taps.compactMap { entry in
            guard case .valid(let tap) = entry, case .inline(.tunnel(let tunnel)) = tap.destination else { return nil }
            return UnderlayQuery(tunnel)
        }
    }

    /// Those that stand in the metadata of domains.
    func refreshInlineDestinations() {
        guard configuration.value.policy.inline != nil else { return }
        let host = readHost()
        let used = attachments.destinations
        for (uuid, known) in domains.running {
            guard let live = known.view.live, !Self.inlineTunnels(live).isEmpty else { continue }
            evaluate(uuid, on: host)
            for verdict in domains[uuid]?.view.verdicts ?? [] {
                guard case .valid(let tap) = verdict.entry, case .inline = tap.destination,
                    case .evaluated(let destination, _) = verdict.outcome
                else { continue }
                if used.contains(destination.label) { write(destination) } else { request(.domain(uuid)) }
            }
            noteStates(of: uuid)
        }
    }
}
