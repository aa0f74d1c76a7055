// SPDX-License-Identifier: LGPL-2.1-or-later

/// Decides whether copies may take the way to another machine that the host's routes say.
///
/// The routes alone do not tell: while the network of the other machine is not up (yet, or any more), the default route leads
/// everywhere, and guests' traffic would go to a gateway that should never see it.
public enum UnderlayRules {
    /// Why they may not; `nil`: they may.
    public static func refusal(of path: UnderlayPath, for query: UnderlayQuery, host: HostState) -> Failure? {
        let remote = IPAddress.text(query.remote)
        if let device = query.device {
            // By whichever of its names it is called.
            guard path.device == device || host.devices.device(called: device)?.index == path.ifindex else {
                return Failure(.destinationDown, "\(remote) is reached \(by(path)), and not by device=\"\(device)\"")
            }
            return nil
        }
        if let refusal = foreign(path, query, host) { return refusal }
        if isPinned(query, host) { return nil }
        if let refusal = elsewhere(path, remote, query, host) { return refusal }
        guard path.isByDefaultRoute, let device = host.specificRoutes[query.remote] else { return nil }
        return Failure(
            .defaultRoute,
            "\(remote) had a route of its own, by \(device), and now has only the default route, \(by(path)), which copies do not follow; "
                + "copying begins again when its route is back, or \(permission(path))")
    }

    /// What to know about a way that they may take.
    public static func remark(on path: UnderlayPath, for query: UnderlayQuery, host: HostState) -> TapStatus.Warning? {
        guard path.isByDefaultRoute, query.device == nil, !isPinned(query, host) else { return nil }
        return TapStatus.Warning(
            reason: .defaultRoute,
            message: "copies to \(IPAddress.text(query.remote)) leave by the default route, \(by(path)), unencrypted; "
                + "if that is right \(permission(path)), else give it a route of its own, or say which device is right")
    }

    private static func permission(_ path: UnderlayPath) -> String {
        "say device=\"\(path.device)\" in this host's configuration"
    }

    /// Such as "by ens3 and the gateway 192.0.2.1".
    private static func by(_ path: UnderlayPath) -> String { "by \(path.device) and the gateway \(IPAddress.text(path.nextHop))" }

    /// The devices with the source that is asked for, of those behind which something is.
    private static func homes(of query: UnderlayQuery, _ host: HostState) -> [HostDevice] {
        guard let source = query.source else { return [] }
        return host.devices.all.filter { device in !device.leadsNowhere && device.addresses.contains { $0.address == source } }
            .sorted { $0.name < $1.name }
    }

    /// Whether the source that is asked for says by which device they are to leave.
    private static func isPinned(_ query: UnderlayQuery, _ host: HostState) -> Bool { !homes(of: query, host).isEmpty }

    /// That the source is another device's.
    private static func foreign(_ path: UnderlayPath, _ query: UnderlayQuery, _ host: HostState) -> Failure? {
        let homes = homes(of: query, host)
        guard let source = query.source, let home = homes.first, !homes.contains(where: { $0.index == path.ifindex }) else { return nil }
        return Failure(
            .destinationDown,
            "source \(IPAddress.text(source)) is an address of \(home.name), \(state(home)), and \(IPAddress.text(query.remote)) is reached "
                + "\(by(path)); copying begins when a route leads there by \(home.name), or say device=\"\(path.device)\"")
    }

    /// That the remote is in the network of another device, which only lacks its route: addresses stay when a device is set down, and
    /// are there before it is up. A route for a smaller network than that, or for the same one, was made on purpose.
    private static func elsewhere(_ path: UnderlayPath, _ remote: String, _ query: UnderlayQuery, _ host: HostState) -> Failure? {
        let known = host.devices.all.filter { !$0.leadsNowhere }.flatMap { device in
            device.addresses.filter { $0.network.contains(query.remote) }.map { (device: device, address: $0) }
        }
        guard let longest = known.map(\.address.network.prefixLength).max(), longest > path.prefixLength else { return nil }
        let homes = known.filter { $0.address.network.prefixLength == longest }
        guard let home = homes.min(by: { $0.device.index < $1.device.index }), !homes.contains(where: { $0.device.index == path.ifindex })
        else { return nil }
        return Failure(
            .destinationDown,
            "\(remote) is in the network of \(home.device.name) (\(home.address.text)), \(state(home.device)), and without a route by it "
                + "would be reached \(by(path)); copying begins when that route is there, or \(permission(path))")
    }

    private static func state(_ device: HostDevice) -> String {
        if !device.isUp { return "which is down" }
        return device.hasCarrier ? "which is up" : "which has no carrier"
    }
}
