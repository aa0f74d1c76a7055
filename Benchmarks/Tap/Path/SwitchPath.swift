// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Foundation
import Glibc

/// Through Open vSwitch with the kernel's datapath; the flows are those of a learning switch, its default.
final class SwitchPath: ForwardingPath {
    let title = "Open vSwitch"
    let decidesLate = true
    let guest: GuestDevice
    let peer: FarEnd
    let sensor: FarEnd
    let destination = "mon9"
    let sensorDevice = "sensor9"
    var destinationIndex: UInt32 { if_nametoindex(destination) }
    private let daemons: SwitchDaemons

    init() throws {
        try Quiet.network()
        daemons = try SwitchDaemons()
        guest = try GuestDevice("vnet9")
        try ip(
            """
            link add port9 type veth peer name peer9
            link add mon9 type veth peer name sensor9
            link set peer9 address \(Quiet.peerAddress)
            link set vnet9 up
            link set port9 up
            link set peer9 up
            link set mon9 up
            link set sensor9 up

            """)
        for port in ["vnet9", "port9"] { try run("ovs-vsctl", "--timeout=60", "add-port", SwitchDaemons.bridge, port) }
        peer = try FarEnd(on: "peer9")
        sensor = try FarEnd(on: sensorDevice)
    }

    deinit {
        for device in ["port9", "mon9"] where if_nametoindex(device) != 0 { _ = try? run("ip", "link", "del", device) }
    }

    /// The switch learns again where the peer is, and what it had decided about flows is forgotten.
    func prepare() throws {
        try PacketSocket(on: "peer9").send(FrameBuilder.udp(0, toGuest: true))
        try run("ovs-appctl", "-T", "20", "revalidator/purge")
    }
}
