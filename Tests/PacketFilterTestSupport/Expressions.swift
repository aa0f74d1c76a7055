// SPDX-License-Identifier: LGPL-2.1-or-later

/// Expressions of pcap-filter(7) for Ethernet that need no names of hosts or networks: each rule of the grammar, each
/// kind of instruction that libpcap makes.
public enum Expressions {
    public static let all: [String] = {
        var seen = Set<String>()
        return (link + network + transport + encapsulation + arithmetic + accesses + combinations).filter { seen.insert($0).inserted }
    }()

    /// Each protocol's bytes by offset and size: `proto[offset:size]`.
    static let accesses: [String] = {
        let protocols = [
            "ether", "link", "ip", "arp", "rarp", "icmp", "tcp", "udp", "ip6", "icmp6", "igmp", "igrp", "pim", "vrrp", "sctp", "carp",
        ]
        return protocols.flatMap { name in
            ["\(name)[0] = 0x45", "\(name)[1:1] & 0xf != 0", "\(name)[2:2] > 64", "\(name)[4:4] < 0x80000000"]
        }
    }()
}
