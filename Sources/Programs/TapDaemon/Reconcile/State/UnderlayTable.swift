// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// How packets get to the other ends of tunnels, as it was read last, and who has, or had, a route of its own.
struct UnderlayTable {
    private(set) var paths: [UnderlayQuery: Result<UnderlayPath, Failure>] = [:]
    /// Remote addresses that had a way besides the default route in this daemon's life, or when the kernel's map was written last; the
    /// device.
    private(set) var specificRoutes: [[UInt8]: String] = [:]
    /// Whether what the map had before this daemon started is among them.
    private(set) var isRecalled = false
    /// Counts changes that a plan depends on.
    private(set) var generation = 0

    /// How many ways of addresses to which nothing is sent at the moment are remembered: domains come and go with theirs.
    private static let rememberedWays = 1_024

    /// Forgets paths that nobody asks for.
    mutating func keep(_ queries: Set<UnderlayQuery>) { paths = paths.filter { queries.contains($0.key) } }

    /// Takes in a path that was read, and remembers who has a way besides the default route: copies for them are not to follow that one when
    /// theirs is gone, also when nothing was sent there for a while.
    ///
    /// - Parameter remotes: those to which something is sent now.
    /// - Returns: whether the path is not what it was.
    @discardableResult
    mutating func note(_ query: UnderlayQuery, _ result: Result<UnderlayPath, Failure>, remotes: @autoclosure () -> Set<[UInt8]>) -> Bool {
        if case .success(let path) = result, !path.isByDefaultRoute {
            specificRoutes[query.remote] = path.device
            if specificRoutes.count > Self.rememberedWays {
                let used = remotes().union([query.remote])
                specificRoutes = specificRoutes.filter { used.contains($0.key) }
            }
        }
        guard paths.updateValue(result, forKey: query) != result else { return false }
        generation += 1
        return true
    }

    /// Takes in what the daemon before this one knew, by remote address the ifindex.
    mutating func recall(_ ways: [[UInt8]: UInt32], _ devices: DeviceTable) {
        for (remote, ifindex) in ways where specificRoutes[remote] == nil {
            specificRoutes[remote] = devices[ifindex]?.name ?? "a device that has gone"
        }
        isRecalled = true
    }

    /// Forgets who had a way of its own.
    mutating func forgetWays() { specificRoutes = [:] }

    /// The devices by which packets get to other machines, as far as it matters whether they can: a path says nothing of a carrier.
    func links(in devices: DeviceTable) -> [UInt32: Bool] {
        let links = paths.values.compactMap { try? $0.get().ifindex }
        return Dictionary(links.map { ($0, devices[$0].map { $0.isUp && $0.hasCarrier } ?? false) }) { first, _ in first }
    }
}
