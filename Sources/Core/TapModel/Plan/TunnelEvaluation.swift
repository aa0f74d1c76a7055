// SPDX-License-Identifier: LGPL-2.1-or-later

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
