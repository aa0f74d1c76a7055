// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport

/// An expression that is raced, and two frames for it.
struct FilterCase {
    let expression: String
    /// The program in Benchmarks/FilterPeers/filters.bpf.c.
    let peer: String
    let matching: [UInt8]
    /// One that goes as far as it can before it is turned down.
    let rejected: [UInt8]

    private static let address = 26  // IPv4's source behind Ethernet; the destination follows
    private static let ports = 34
    private static let flags = 47

    private static func patch(_ frame: [UInt8], _ offset: Int, _ bytes: [UInt8]) -> [UInt8] {
        var frame = frame
        frame.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
        return frame
    }

    static var all: [FilterCase] {
        let tcp = FrameBuilder.tcp(payload: 200, tcpOptions: 0)
        // Its transport is TCP's 20 bytes, which begin as UDP's do.
        let udp6 = patch(FrameBuilder.tcp6(payload: 200), 20, [17])
        let outside: [UInt8] = [192, 0, 2, 1, 192, 0, 2, 2]
        return [
            FilterCase(expression: "tcp port 443", peer: "tcp_port_443", matching: patch(tcp, ports + 2, [1, 187]), rejected: tcp),
            FilterCase(
                expression: "host 192.0.2.1", peer: "host_192_0_2_1", matching: patch(tcp, address + 4, [192, 0, 2, 1]), rejected: tcp),
            FilterCase(
                expression: "tcp[tcpflags] & tcp-syn != 0", peer: "tcp_syn_set", matching: patch(tcp, flags, [2]), rejected: tcp),
            FilterCase(
                expression: "ip6 and udp port 53", peer: "ip6_udp_port_53", matching: patch(udp6, 56, [0, 53]), rejected: udp6),
            FilterCase(expression: "not net 10.0.0.0/8", peer: "not_net_10", matching: patch(tcp, address, outside), rejected: tcp),
            FilterCase(
                expression: "vlan 10 and tcp", peer: "vlan_10_and_tcp",
                matching: FrameBuilder.tcp(payload: 200, tags: [10], tcpOptions: 0),
                rejected: patch(FrameBuilder.tcp(payload: 200, tags: [10], tcpOptions: 0), 27, [17])),
        ]
    }
}
