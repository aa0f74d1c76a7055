// SPDX-License-Identifier: LGPL-2.1-or-later

/// How packets get from this host to an address: what the outer headers of a tunnel are made of.
public struct UnderlayPath: Hashable, Sendable {
    /// The device that they leave by.
    public var ifindex: UInt32
    public var device: String
    /// The source address that the host gives them: 4 or 16 bytes in network order.
    public var source: [UInt8]
    public var sourceMAC: MACAddress
    /// Who takes them next, the gateway or the address itself.
    public var nextHop: [UInt8]
    /// `nil`: it has not answered (yet).
    public var nextHopMAC: MACAddress?
    /// The least that the device and the route take: bytes of an IP packet.
    public var mtu: UInt32
    /// How many bits of the address the route that leads there is for; 0: it is the default route.
    public var prefixLength: Int

    public init(
        ifindex: UInt32, device: String, source: [UInt8], sourceMAC: MACAddress, nextHop: [UInt8], nextHopMAC: MACAddress?, mtu: UInt32,
        prefixLength: Int = 24
    ) {
        self.ifindex = ifindex
        self.device = device
        self.source = source
        self.sourceMAC = sourceMAC
        self.nextHop = nextHop
        self.nextHopMAC = nextHopMAC
        self.mtu = mtu
        self.prefixLength = prefixLength
    }

    /// Whether a route for everything leads there, and none that somebody made for this address or its network. Also the two halves
    /// that stand in for a default route (0.0.0.0/1, as VPNs have them), and 2000::/3, in which all public addresses are.
    public var isByDefaultRoute: Bool { prefixLength <= (source.count == 4 ? 1 : 3) }
}

/// What is asked of the host for a tunnel: how packets get to its remote end.
public struct UnderlayQuery: Hashable, Sendable {
    /// 4 or 16 bytes in network order.
    public var remote: [UInt8]
    /// The address that they are to come from; `nil`: what the route says.
    public var source: [UInt8]?
    /// The device that they are to leave by; `nil`: what the route says.
    public var device: String?

    public init(remote: [UInt8], source: [UInt8]? = nil, device: String? = nil) {
        self.remote = remote
        self.source = source
        self.device = device
    }

    /// - Returns: `nil` for addresses that the grammar would not have let through.
    public init?(_ tunnel: Tunnel) {
        guard let remote = IPAddress.bytes(tunnel.remote) else { return nil }
        self.init(remote: remote, source: tunnel.source.flatMap { IPAddress.bytes($0) }, device: tunnel.device)
    }
}

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

/// What can be said of a tunnel's remote address without asking for the way to it.
public enum RemoteAddress {
    /// Why no copies can ever be sent there; `nil`: they may.
    /// - Parameter remote: 4 or 16 bytes in network order.
    public static func refusal(_ remote: [UInt8]) -> Failure? {
        let target = IPAddress.text(remote)
        // The kernel takes it for an address of its own (0.0.0.0), or sends it somewhere (::).
        if remote.allSatisfy({ $0 == 0 }) { return Failure(.destinationUnsafe, "\(target) is no receiver's address; name one receiver") }
        // What the route says nothing about: it looks like any other. The rest of 240.0.0.0/4 is for the routes to decide, which may lack
        // those for all.
        let isOfMany = remote.count == 4 ? remote[0] & 0xF0 == 0xE0 || remote.allSatisfy { $0 == 255 } : remote[0] == 0xFF
        if isOfMany { return Failure(.destinationUnsafe, "\(target) is an address of many; name one receiver") }
        // fe80::/10: the kernel would take the first link.
        if remote.count == 16, remote[0] == 0xFE, remote[1] & 0xC0 == 0x80 {
            return Failure(.destinationUnsafe, "\(target) may be on any link of this host; use an address of the receiver that is not")
        }
        return nil
    }
}

/// Decides how copies are wrapped and sent for another machine now.
enum TunnelEvaluation {
    /// The shortest frame that is worth a packet of its own: an Ethernet frame without its check sequence.
    private static let leastRoom: UInt32 = 60

    /// - Parameters:
    ///   - label: the destination's name.
    ///   - mtu: of the path, where the configuration says so: bytes of an IP packet.
    static func verdict(_ tunnel: Tunnel, label: String, mtu: UInt32? = nil, host: HostState) -> DestinationVerdict {
        let kind = tunnel.kind.destinationKind
        func nowhere(_ reason: Reason, _ why: String) -> DestinationVerdict {
            var verdict = DestinationVerdict(label: label, kind: kind, ifindex: 0, failure: Failure(reason, "destination \(label): \(why)"))
            verdict.specificRoute = IPAddress.bytes(tunnel.remote).flatMap(host.specificRoute(to:))
            return verdict
        }
        if let refusal = IPAddress.bytes(tunnel.remote).flatMap(RemoteAddress.refusal) { return nowhere(refusal.reason, refusal.message) }
        guard let query = UnderlayQuery(tunnel), let result = host.paths[query] else {
            return nowhere(.neighbourUnreachable, "the way to \(tunnel.remote) has not been looked up yet")
        }
        let path: UnderlayPath
        switch result {
        case .failure(let failure):
            // Whatever it is, another route may end it.
            var verdict = nowhere(failure.reason, failure.message)
            verdict.isOfRoute = true
            return verdict
        case .success(let found): path = found
        }
        if let refusal = UnderlayRules.refusal(of: path, for: query, host: host) {
            var verdict = nowhere(refusal.reason, refusal.message)
            verdict.isOfRoute = true
            return verdict
        }
        // Before its neighbours, which are forgotten with the carrier.
        guard let device = host.devices[path.ifindex] else {
            return nowhere(.destinationDown, "\(path.device), by which \(tunnel.remote) was reached, has gone")
        }
        guard device.isUp, device.hasCarrier else {
            let state = device.isUp ? "has no carrier: its cable or its other end is down" : "is down"
            return nowhere(.destinationDown, "\(path.device), by which \(tunnel.remote) is reached, \(state)")
        }
        guard let header = TunnelHeader(tunnel, remote: query.remote, path: path, mtu: mtu) else {
            let hop = IPAddress.text(path.nextHop)
            let who = hop == tunnel.remote ? hop : "\(hop), the next hop to \(tunnel.remote),"
            let asked = path.nextHop.count == 4 ? "ARP" : "NDP"
            return nowhere(
                .neighbourUnreachable, "\(who) has not answered \(asked) on \(path.device); copying begins when it does")
        }
        guard header.room >= leastRoom else {
            return nowhere(
                .mtuTooSmall,
                "packets to \(tunnel.remote) may have \(header.mtu) bytes, of which the headers take \(header.bytes.count - 14): no frame fits"
            )
        }
        return DestinationVerdict(
            label: label, kind: kind, ifindex: path.ifindex, failure: nil, tunnel: header,
            remark: UnderlayRules.remark(on: path, for: query, host: host))
    }
}
