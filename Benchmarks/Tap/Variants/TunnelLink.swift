// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import TapModel

/// A machine at the copies' far end, to which they go by VXLAN: addresses, a neighbour who is there for ever, and an MTU
/// that has room for every frame and the headers.
struct TunnelLink {
    static let tunnel = Tunnel(kind: .vxlan, remote: "10.9.0.2", identifier: 100)
    static let remote: [UInt8] = [10, 9, 0, 2]
    /// Ethernet, IPv4, UDP, VXLAN.
    static let overhead = 50
    /// The same tunnel in Open vSwitch's words.
    static let switchOptions = ["remote_ip=10.9.0.2", "key=100", "dst_port=4789"]
    private static let mac = "02:00:00:00:00:0b"
    private let device: String
    private let far: String

    init(on path: any ForwardingPath) throws {
        device = path.destination
        far = path.sensorDevice
        try ip(
            """
            link set \(device) mtu 9000
            link set \(far) mtu 9000
            addr add 10.9.0.1/24 dev \(device)
            neigh replace 10.9.0.2 lladdr \(Self.mac) dev \(device) nud permanent

            """)
    }

    func remove() throws {
        try ip(
            """
            neigh del 10.9.0.2 dev \(device)
            addr del 10.9.0.1/24 dev \(device)
            link set \(device) mtu 1500
            link set \(far) mtu 1500

            """)
    }
}
