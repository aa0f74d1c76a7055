// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import TapModel
import Testing

/// Another machine, in a namespace of its own at the far end of a bench's destination, with Linux's own devices for tunnels: what
/// those hand out is what a sensor on it would see.
struct TunnelReceiver {
    private let isIPv6: Bool
    private let namespace: NetworkNamespace
    private let path: UnderlayPath

    static func sender(_ isIPv6: Bool) -> String { isIPv6 ? "fd09::1" : "10.9.0.1" }
    static func address(_ isIPv6: Bool) -> String { isIPv6 ? "fd09::2" : "10.9.0.2" }

    init(_ bench: TestBench, isIPv6: Bool) throws {
        self.isIPv6 = isIPv6
        namespace = NetworkNamespace("far\(bench.number)")
        try run("ip", "netns", "add", namespace.name)
        try ip("link set \(bench.far) netns \(namespace.name)\n")
        // Otherwise devices send on their own.
        try run(
            "ip", "netns", "exec", namespace.name, "sh", "-c",
            "cd /proc/sys/net/ipv6/conf; echo 1 >default/disable_ipv6; echo \(isIPv6 ? 0 : 1) >\(bench.far)/disable_ipv6")
        try run(
            "ip", "-n", namespace.name, "-batch", "-",
            input: """
                link set lo up
                link set \(bench.far) up
                addr add \(Self.address(isIPv6))\(isIPv6 ? "/64 nodad" : "/24") dev \(bench.far)

                """)
        // A veth would hand GSO packets on whole.
        try DeviceOffloads.end(on: bench.destination)
        let remote = try #require(IPAddress.bytes(Self.address(isIPv6)))
        path = UnderlayPath(
            ifindex: bench.destinationIndex, device: bench.destination, source: try #require(IPAddress.bytes(Self.sender(isIPv6))),
            sourceMAC: try Self.mac(try run("ip", "-o", "link", "show", bench.destination)), nextHop: remote,
            nextHopMAC: try Self.mac(try run("ip", "-n", namespace.name, "-o", "link", "show", bench.far)), mtu: 1_500)
    }

    private static func mac(_ line: String) throws -> MACAddress {
        let words = line.split(separator: " ").map(String.init)
        let place = try #require(words.firstIndex(of: "link/ether"))
        return try #require(MACAddress(words[place + 1]))
    }

    /// Adds the tunnel's device; what it takes out of the tunnel.
    func add(_ device: String, _ kind: ReceiverKind, _ identifier: UInt32 = ReceiverKind.identifier) throws -> PacketSocket {
        try run(
            "ip", "-n", namespace.name, "-batch", "-",
            input: "link add name \(device) type \(kind.device(identifier))\nlink set \(device) mtu 9000\nlink set \(device) up\n")
        try namespace.joinNothing(device)
        return try namespace.run { try PacketSocket(on: device) }
    }

    func remove(_ device: String) throws { try run("ip", "-n", namespace.name, "link", "del", device) }

    func route(_ kind: ReceiverKind, isSplit: Bool = false) throws -> DestinationRoute {
        let tunnel = kind.tunnel(isSplit: isSplit)
        let header = try #require(TunnelHeader(tunnel, remote: path.nextHop, path: path, mtu: nil))
        return DestinationRoute(kind: kind.kind.destinationKind, ifindex: path.ifindex, tunnel: header)
    }

    /// What one of its devices says that it has got, and what it could do nothing with.
    func received(_ device: String) throws -> (packets: Int, errors: Int) {
        let lines = try run("ip", "-n", namespace.name, "-s", "link", "show", device).split(separator: "\n")
        let place = try #require(lines.firstIndex { $0.contains("RX:") })
        let numbers = lines[place + 1].split(separator: " ").compactMap { Int($0) }
        try #require(numbers.count > 2)
        return (numbers[1], numbers[2])
    }

    func remove() { namespace.remove() }
}
