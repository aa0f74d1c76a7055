// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import TapModel

/// What one would use without virt-tap: tc's mirror into the kernel's VXLAN device.
struct TunnelFilters: Attached {
    private static let device = "vxlan-bench"
    private let link: TunnelLink
    private let filters: TcFilters

    init(on path: any ForwardingPath) throws {
        link = try TunnelLink(on: path)
        do {
            try ip(
                """
                link add \(Self.device) type vxlan id 100 remote 10.9.0.2 dstport 4789 dev \(path.destination)
                link set \(Self.device) mtu 8900 up

                """)
            filters = try TcFilters(devices: [path.guest.name], hooks: ["ingress"], ["u32 match u32 0 0"], to: Self.device)
        } catch {
            try? link.remove()
            throw error
        }
    }

    func detach() throws {
        try filters.detach()
        try ip("link del \(Self.device)\n")
        try link.remove()
    }
}
