// SPDX-License-Identifier: LGPL-2.1-or-later

extension Expressions {
    /// IPv4 and IPv6: addresses, nets, protocols, fragments, options.
    static let network = [
        "host 192.0.2.1", "src host 192.0.2.1", "dst host 192.0.2.1", "src or dst host 192.0.2.1", "src and dst host 192.0.2.1",
        "src 192.0.2.11", "dst 192.0.2.11", "ip host 192.0.2.1", "ip src 192.0.2.11", "ip dst 192.0.2.11", "not host 192.0.2.1",
        "host 192.0.2.1 or 192.0.2.2 or 192.0.2.3", "host 192.0.2.1 and not host 192.0.2.11", "net 192.0.2.0/24", "src net 192.0.2.0/24",
        "dst net 192.0.2.0/24", "net 192.0.2.0 mask 255.255.255.0", "net 10", "net 172.16", "net 192.0.2", "ip net 10.0.0.0/8",
        "net 0.0.0.0/0", "net 192.0.2.128/25", "src net 10.0.0.0/8 and dst net 192.0.2.0/24", "net 192.0.2.1/32", "ip broadcast",
        "ip multicast", "ip6 multicast", "ip proto 6", "ip proto \\tcp", "ip proto \\udp", "ip proto \\icmp", "ip proto 47", "ip proto 50",
        "ip proto 41", "ip proto \\igmp", "proto 6", "proto \\udp", "ip6 proto 6", "ip6 proto \\udp", "ip6 proto 58", "ip6 proto 0",
        "ip6 proto 44", "ip6 proto 43", "ip6 proto 60", "host 2001:db8::1", "src host 2001:db8::1", "dst host 2001:db8::2",
        "ip6 host 2001:db8::1", "ip6 src 2001:db8::1", "ip6 dst 2001:db8::2", "net 2001:db8::/32", "src net 2001:db8::/64",
        "dst net 2001:db8::/48", "ip6 net fe80::/10", "net ::/0", "net 2001:db8::/33", "net 2001:db8::/127", "ip6 net 2001:db8::/96",
        "host 2001:db8::1 or host 192.0.2.1", "ip[6:2] & 0x1fff != 0", "ip[6:2] & 0x3fff != 0", "ip[6] & 0x40 != 0", "ip[6] & 0x20 = 0x20",
        "ip[8] < 64", "ip[8] = 1", "ip[0] & 0xf != 5", "ip[0] & 0xf > 5", "ip[0] = 0x45", "ip[1] & 0xfc = 0xb8", "ip[1] >> 2 = 46",
        "ip[2:2] > 576", "ip[12:4] = 0xc0000201", "ip[16:4] & 0xf0000000 = 0xe0000000", "ip[12] = 192 and ip[13] = 0",
        "ip[2:2] - ((ip[0] & 0xf) << 2) > 20", "ip6[6] = 6", "ip6[6] = 0 or ip6[6] = 60", "ip6[7] < 64", "ip6[0] & 0xf0 = 0x60",
        "ip6[4:2] > 100", "ip6[8:4] = 0x20010db8", "ip6[0:2] & 0x0ff0 = 0", "ip6[40] = 128", "ip6[40:2] = 53 or ip6[42:2] = 53", "icmp",
        "icmp6", "igmp", "igrp", "pim", "vrrp", "ah", "esp", "carp", "sctp", "tcp", "udp", "not tcp", "not udp and not icmp",
        "icmp[icmptype] = icmp-echo", "icmp[icmptype] = icmp-echoreply", "icmp[icmptype] == icmp-unreach", "icmp[icmpcode] = 1",
        "icmp[icmptype] = icmp-timxceed and icmp[icmpcode] = 0", "icmp[icmptype] != icmp-echo and icmp[icmptype] != icmp-echoreply",
        "icmp[icmptype] = icmp-sourcequench or icmp[icmptype] = icmp-redirect", "icmp[icmptype] = icmp-routeradvert",
        "icmp[icmptype] = icmp-routersolicit", "icmp[icmptype] = icmp-paramprob", "icmp[icmptype] = icmp-tstamp",
        "icmp[icmptype] = icmp-tstampreply", "icmp[icmptype] = icmp-ireq", "icmp[icmptype] = icmp-ireqreply",
        "icmp[icmptype] = icmp-maskreq", "icmp[icmptype] = icmp-maskreply", "icmp[4:2] = 1", "icmp6[icmp6type] = icmp6-echo",
        "icmp6[icmp6type] = icmp6-echoreply", "icmp6[icmp6type] = icmp6-neighborsolicit", "icmp6[icmp6type] = icmp6-neighboradvert",
        "icmp6[icmp6type] = icmp6-routersolicit", "icmp6[icmp6type] = icmp6-routeradvert", "icmp6[icmp6type] = icmp6-packettoobig",
        "icmp6[icmp6type] = icmp6-destinationunreach", "icmp6[icmp6code] = 0", "ip and not broadcast and not multicast",
        "ip proto 1 or ip proto 6 or ip proto 17", "host 192.0.2.1 and (ip proto 6 or ip proto 17)",
    ]
}
