// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import TapModel

/// Our tap with copies for another machine.
struct TunnelTap: Attached {
    private let link: TunnelLink
    private let tap: OwnTap

    init(_ dataplane: KernelDataplane, on path: any ForwardingPath, _ options: OwnTap.Options = OwnTap.Options()) throws {
        link = try TunnelLink(on: path)
        do {
            let way = try dataplane.path(to: TunnelLink.remote, source: nil)
            guard let header = TunnelHeader(TunnelLink.tunnel, remote: TunnelLink.remote, path: way, mtu: nil) else {
                throw BenchmarkFailure("no way to the far end")
            }
            let route = DestinationRoute(kind: .vxlan, ifindex: way.ifindex, tunnel: header)
            tap = try OwnTap(dataplane, device: path.guest.name, index: path.guest.index, route: route, options)
        } catch {
            try? link.remove()
            throw error
        }
    }

    func counters() throws -> DirectionCounters? { try tap.counters() }

    func detach() throws {
        try tap.detach()
        try link.remove()
    }
}
