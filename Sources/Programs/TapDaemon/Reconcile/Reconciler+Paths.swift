// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import TapModel

/// How packets get to the other ends of tunnels: asked of the kernel, followed, and kept alive.
extension Reconciler {
    /// Routes or neighbours of the host changed, or links that they are on.
    func pathsChanged() {
        if !tunnels.isEmpty { request(.paths) }
    }

    /// Looks again at the way to every tunnel's other end; what changed is told to the kernel.
    ///
    /// - Parameter isConfirming: asks the next hops, too.
    func refreshPaths(isConfirming: Bool) {
        recallWays()
        let queries = tunnels
        guard !queries.isEmpty || !paths.isEmpty else { return }
        if isConfirming { refreshClock() }
        var isChanged = false
        var confirmed: Set<NextHop> = []
        paths = paths.filter { queries.contains($0.key) }
        for query in queries {
            let result = lookUp(query)
            learnWay(query, result)
            if paths.updateValue(result, forKey: query) != result { isChanged = true }
            // Most other machines are behind one router.
            if isConfirming, case .success(let path) = result, confirmed.insert(NextHop(path)).inserted { confirmNextHop(path) }
        }
        guard isChanged else { return }
        changes += 1
        refreshDestinations()
        refreshInlineDestinations()
    }

    /// Looks up what a domain's inline destinations need and nobody has asked for yet.
    func lookUpPaths(of uuid: DomainUUID) {
        guard configuration.value.policy.inline != nil, let live = domains[uuid]?.view.live else { return }
        for query in Self.inlineTunnels(live) where paths[query] == nil {
            let result = lookUp(query)
            learnWay(query, result)
            paths[query] = result
            request(.paths, after: Schedule.confirmInterval)
        }
    }

    private func lookUp(_ query: UnderlayQuery) -> Result<UnderlayPath, Failure> {
        Result { () throws(Failure) in try dataplane.path(for: query) }
    }

    /// How many ways of addresses to which nothing is sent at the moment are remembered: domains come and go with theirs.
    private static let rememberedWays = 1_024

    /// Remembers who has a way besides the default route: copies for them are not to follow that one when theirs is gone, also when
    /// nothing was sent there for a while.
    private func learnWay(_ query: UnderlayQuery, _ result: Result<UnderlayPath, Failure>) {
        guard case .success(let path) = result, !path.isByDefaultRoute else { return }
        specificRoutes[query.remote] = path.device
        guard specificRoutes.count > Self.rememberedWays else { return }
        let used = Set(tunnels.map(\.remote)).union([query.remote])
        specificRoutes = specificRoutes.filter { used.contains($0.key) }
    }

    /// The same of what the daemon before this one knew.
    private func recallWays() {
        guard !areWaysRecalled else { return }
        do {
            for (remote, ifindex) in try dataplane.specificRoutes() where specificRoutes[remote] == nil {
                specificRoutes[remote] = devices[ifindex]?.name ?? "a device that has gone"
            }
            areWaysRecalled = true
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
            for known in domains.values { if let live = known.view.live { queries.formUnion(Self.inlineTunnels(live)) } }
        }
        return queries
    }

    private static func inlineTunnels(_ domain: DomainDefinition) -> [UnderlayQuery] {
        domain.taps.compactMap { entry in
            guard case .valid(let tap) = entry, case .inline(.tunnel(let tunnel)) = tap.destination else { return nil }
            return UnderlayQuery(tunnel)
        }
    }

    /// The devices by which packets get to other machines, as far as it matters whether they can: a path says nothing of a carrier.
    func linksOfPaths(in devices: DeviceTable) -> [UInt32: Bool] {
        let links = paths.values.compactMap { try? $0.get().ifindex }
        return Dictionary(links.map { ($0, devices[$0].map { $0.isUp && $0.hasCarrier } ?? false) }) { first, _ in first }
    }

    /// Those that stand in the metadata of domains.
    func refreshInlineDestinations() {
        guard configuration.value.policy.inline != nil else { return }
        let host = readHost()
        let used = attachments.destinations
        for (uuid, known) in domains {
            guard known.view.isRunning, let live = known.view.live, !Self.inlineTunnels(live).isEmpty else { continue }
            evaluate(uuid, on: host)
            for verdict in domains[uuid]?.view.verdicts ?? [] {
                guard case .valid(let tap) = verdict.entry, case .inline = tap.destination,
                    case .evaluated(let destination, _) = verdict.outcome
                else { continue }
                if used.contains(destination.label) { set(destination) } else { request(.domain(uuid)) }
            }
            noteStates(of: uuid)
        }
    }
}
