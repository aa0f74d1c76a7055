// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import Glibc
import Synchronization

/// A guest's tap device in a bridge with a peer, and a device for copies with a sensor at its far end:
///
///     guest (this process) ── vnet ── bridge ── port ──veth── peer        destination ──veth── sensor
///
/// Everything goes when the object does.
public final class TestBench {
    private static let count = Atomic<Int>(0)

    public let number: Int
    public let guest: TapDevice
    /// At the bridge's other port: sees the originals that the guest sends, and sends to it.
    public let peer: PacketSocket
    /// Sees the copies.
    public let sensor: PacketSocket
    /// A directory in bpffs of this bench's own.
    public let bpffs: String

    public var bridge: String { "br\(number)" }
    public var port: String { "port\(number)" }
    public var destination: String { "mon\(number)" }
    public var destinationIndex: UInt32 { if_nametoindex(destination) }
    public var far: String { "sensor\(number)" }

    public init(withHeader: Bool = false) throws {
        try PrivateNamespaces.require()
        let number = Self.count.wrappingAdd(1, ordering: .relaxed).newValue
        self.number = number
        // Otherwise devices send on their own.
        for scope in ["all", "default"] {
            try "1".write(toFile: "/proc/sys/net/ipv6/conf/\(scope)/disable_ipv6", atomically: false, encoding: .utf8)
        }
        guest = try TapDevice("vnet\(number)", withHeader: withHeader)
        try ip(
            """
            link add br\(number) type bridge mcast_snooping 0
            link add port\(number) type veth peer name peer\(number)
            link add mon\(number) type veth peer name sensor\(number)
            link set vnet\(number) master br\(number) up
            link set port\(number) master br\(number) up
            link set peer\(number) up
            link set br\(number) up
            link set mon\(number) up
            link set sensor\(number) up

            """)
        peer = try PacketSocket(on: "peer\(number)")
        sensor = try PacketSocket(on: "sensor\(number)")
        bpffs = "/sys/fs/bpf/bench\(number)"
        try FileManager.default.createDirectory(atPath: bpffs, withIntermediateDirectories: false)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: bpffs)
        for device in ["br\(number)", "port\(number)", "mon\(number)"] where if_nametoindex(device) != 0 {
            _ = try? run("ip", "link", "del", device)
        }
    }
}
