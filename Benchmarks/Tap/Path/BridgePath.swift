// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Foundation
import Glibc

/// Through a Linux bridge that has learned where the peer is. Its devices go when the object does.
final class BridgePath: ForwardingPath {
    static let name = "bridge"
    let title = BridgePath.name
    let decidesLate = false
    let guest: GuestDevice
    let peer: FarEnd
    let sensor: FarEnd
    let destination = "mon0"
    let sensorDevice = "sensor0"
    var destinationIndex: UInt32 { if_nametoindex(destination) }

    init() throws {
        try Quiet.network()
        guest = try GuestDevice("vnet0")
        try ip(
            """
            link add br0 type bridge mcast_snooping 0
            link add port0 type veth peer name peer0
            link add mon0 type veth peer name sensor0
            link set peer0 address \(Quiet.peerAddress)
            link set vnet0 master br0 up
            link set port0 master br0 up
            link set peer0 up
            link set br0 up
            link set mon0 up
            link set sensor0 up

            """)
        try run("bridge", "fdb", "add", Quiet.peerAddress, "dev", "port0", "master", "static")
        peer = try FarEnd(on: "peer0")
        sensor = try FarEnd(on: sensorDevice)
    }

    deinit {
        for device in ["br0", "port0", "mon0"] where if_nametoindex(device) != 0 { _ = try? run("ip", "link", "del", device) }
    }

    func prepare() {}
}
