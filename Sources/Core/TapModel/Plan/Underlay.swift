// SPDX-License-Identifier: LGPL-2.1-or-later

/// How packets get from this host to an address: the parts of a tunnel's outer headers.
public struct UnderlayPath: Hashable, Sendable {
    /// The ifindex of the device by which packets leave.
    public var ifindex: UInt32
    public var device: String
    /// The source address that the host gives packets: 4 or 16 bytes in network order.
    public var source: [UInt8]
    public var sourceMAC: MACAddress
    /// The address of the next hop: the gateway's, or the remote address itself.
    public var nextHop: [UInt8]
    /// The next hop's MAC address; `nil`: it has not answered (yet).
    public var nextHopMAC: MACAddress?
    /// The smaller of the device's and the route's MTU: bytes of an IP packet.
    public var mtu: UInt32
    /// The prefix length of the route that leads there; 0: the default route.
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

    /// Whether the path is by a default route and not by one for this address or its network. The two halves that VPNs use in place of a
    /// default route (0.0.0.0/1) and 2000::/3, which contains all public addresses, are default routes too.
    public var isByDefaultRoute: Bool { prefixLength <= (source.count == 4 ? 1 : 3) }
}

/// The question how packets get to the remote end of a tunnel.
public struct UnderlayQuery: Hashable, Sendable {
    /// 4 or 16 bytes in network order.
    public var remote: [UInt8]
    /// The source address that packets are to have; `nil`: the route's choice.
    public var source: [UInt8]?
    /// The device by which packets are to leave; `nil`: the route's choice.
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

/// Decides whether copies may take the path to another machine that the host's routes give.
///
/// The routes alone do not tell: while the network of the other machine is not up (yet, or any more), the default route leads
/// everywhere, and guests' traffic would go to a gateway that should never see it.
public enum UnderlayRules {
    /// Why they may not; `nil`: they may.
    public static func refusal(of path: UnderlayPath, for query: UnderlayQuery, host: HostState) -> Failure? {
        let remote = IPAddress.text(query.remote)
        if let device = query.device {
            // The configuration may name the device by an alternative name.
            guard path.device == device || host.devices.device(called: device)?.index == path.ifindex else {
                return Failure(.destinationDown, "\(remote) is reached \(by(path)), not by device=\"\(device)\"")
            }
            return nil
        }
        if let refusal = foreign(path, query, host) { return refusal }
        if isPinned(query, host) { return nil }
        if let refusal = elsewhere(path, remote, query, host) { return refusal }
        guard path.isByDefaultRoute, let device = host.specificRoutes[query.remote] else { return nil }
        return Failure(
            .defaultRoute,
            "\(remote) had a route of its own, by \(device), and now has only the default route, \(by(path)), which copies do not follow",
            advice: "copying begins again when its route is back, or \(permission(path))")
    }

    /// What to know about a path that they may take.
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

    /// The devices that have the source address that the tunnel asks for, without those that lead nowhere.
    private static func homes(of query: UnderlayQuery, _ host: HostState) -> [HostDevice] {
        guard let source = query.source else { return [] }
        return host.devices.all.filter { device in !device.leadsNowhere && device.addresses.contains { $0.address == source } }
            .sorted { $0.name < $1.name }
    }

    /// Whether the source address that the tunnel asks for determines the device by which copies leave.
    private static func isPinned(_ query: UnderlayQuery, _ host: HostState) -> Bool { !homes(of: query, host).isEmpty }

    /// A refusal when the source address is another device's.
    private static func foreign(_ path: UnderlayPath, _ query: UnderlayQuery, _ host: HostState) -> Failure? {
        let homes = homes(of: query, host)
        guard let source = query.source, let home = homes.first, !homes.contains(where: { $0.index == path.ifindex }) else { return nil }
        return Failure(
            .destinationDown,
            "source \(IPAddress.text(source)) is an address of \(home.name), \(state(home)), and \(IPAddress.text(query.remote)) is reached "
                + by(path), advice: "copying begins when a route leads there by \(home.name), or say device=\"\(path.device)\"")
    }

    /// A refusal when the remote is in the network of another device whose route is missing: addresses stay when a device is set down, and
    /// exist before it is up. A route for the same network or a smaller one was made on purpose.
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
                + "would be reached \(by(path))", advice: "copying begins when that route is there, or \(permission(path))")
    }

    private static func state(_ device: HostDevice) -> String {
        if !device.isUp { return "which is down" }
        return device.hasCarrier ? "which is up" : "which has no carrier"
    }
}

/// Checks a tunnel's remote address without looking up the route to it.
public enum RemoteAddress {
    /// Why copies can never be sent there; `nil`: they may.
    /// - Parameter remote: 4 or 16 bytes in network order.
    public static func refusal(_ remote: [UInt8]) -> Failure? {
        let target = IPAddress.text(remote)
        // The kernel treats 0.0.0.0 as its own address and sends packets for :: somewhere.
        if remote.allSatisfy({ $0 == 0 }) {
            return Failure(.destinationUnsafe, "\(target) is the unspecified address", advice: "name one receiver")
        }
        // Their routes look like any other. The rest of 240.0.0.0/4 is left to the routes.
        let isOfMany = remote.count == 4 ? remote[0] & 0xF0 == 0xE0 || remote.allSatisfy { $0 == 255 } : remote[0] == 0xFF
        if isOfMany { return Failure(.destinationUnsafe, "\(target) is a multicast or broadcast address", advice: "name one receiver") }
        // fe80::/10: without a zone the kernel would use the first link.
        if remote.count == 16, remote[0] == 0xFE, remote[1] & 0xC0 == 0x80 {
            return Failure(
                .destinationUnsafe, "\(target) is a link-local address, which may be on any link of this host",
                advice: "use another address of the receiver")
        }
        return nil
    }
}

/// Decides how copies are encapsulated and sent to another machine now.
enum TunnelEvaluation {
    /// The least room for a frame in one packet: the shortest Ethernet frame without its check sequence.
    private static let leastRoom: UInt32 = 60

    /// - Parameters:
    ///   - label: the destination's name.
    ///   - mtu: the largest IP packet on the path in bytes, where the configuration says it.
    static func verdict(_ tunnel: Tunnel, label: String, mtu: UInt32? = nil, host: HostState) -> DestinationVerdict {
        let kind = tunnel.kind.destinationKind
        func nowhere(_ failure: Failure) -> DestinationVerdict {
            var verdict = DestinationVerdict(
                label: label, kind: kind, device: .nowhere, failure: failure.about("destination \(label)"))
            verdict.route.specificRoute = IPAddress.bytes(tunnel.remote).flatMap(host.specificRoute(to:))
            return verdict
        }
        if let refusal = IPAddress.bytes(tunnel.remote).flatMap(RemoteAddress.refusal) { return nowhere(refusal) }
        guard let query = UnderlayQuery(tunnel), let result = host.paths[query] else {
            return nowhere(Failure(.neighbourUnreachable, "the route to \(tunnel.remote) has not been looked up yet"))
        }
        let path: UnderlayPath
        switch result {
        case .failure(let failure):
            var verdict = nowhere(failure)
            verdict.isFromRoutes = true
            return verdict
        case .success(let found): path = found
        }
        if let refusal = UnderlayRules.refusal(of: path, for: query, host: host) {
            var verdict = nowhere(refusal)
            verdict.isFromRoutes = true
            return verdict
        }
        // Checked before the next hop, since the kernel forgets neighbours when the carrier is lost.
        guard let device = host.devices[path.ifindex] else {
            return nowhere(Failure(.destinationDown, "\(path.device), by which \(tunnel.remote) was reached, has gone"))
        }
        guard device.isUp, device.hasCarrier else {
            let state = device.isUp ? "has no carrier: its cable or its other end is down" : "is down"
            return nowhere(Failure(.destinationDown, "\(path.device), by which \(tunnel.remote) is reached, \(state)"))
        }
        guard let header = TunnelHeader(tunnel, remote: query.remote, path: path, mtu: mtu) else {
            let nextHop = IPAddress.text(path.nextHop)
            let who = nextHop == tunnel.remote ? nextHop : "\(nextHop), the next hop to \(tunnel.remote),"
            let asked = path.nextHop.count == 4 ? "ARP" : "NDP"
            return nowhere(
                Failure(
                    .neighbourUnreachable, "\(who) has not answered \(asked) on \(path.device)", advice: "copying begins when it does"))
        }
        guard header.room >= leastRoom else {
            return nowhere(
                Failure(
                    .mtuTooSmall,
                    "packets to \(tunnel.remote) may have \(header.mtu) bytes, and the headers take \(header.bytes.count - 14) of them: no frame "
                        + "fits"))
        }
        return DestinationVerdict(
            label: label, kind: kind, device: .known(path.ifindex), failure: nil, tunnel: header,
            remark: UnderlayRules.remark(on: path, for: query, host: host))
    }
}
