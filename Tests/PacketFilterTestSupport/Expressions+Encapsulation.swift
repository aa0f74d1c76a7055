// SPDX-License-Identifier: LGPL-2.1-or-later

extension Expressions {
    /// What moves the offsets of all that comes after it: VLAN, MPLS, PPPoE, Geneve. IPX, OSI and others that are told by LLC are above.
    static let encapsulation = [
        "vlan", "vlan 5", "vlan 100", "vlan 0", "vlan 4095", "not vlan", "not vlan 5", "vlan and ip", "vlan 5 and ip",
        "vlan and host 192.0.2.1", "vlan 5 and tcp port 80", "vlan and tcp port 80", "vlan and udp port 53", "vlan 5 and ip6",
        "vlan and vlan", "vlan 5 and vlan 7", "vlan 5 and vlan 7 and ip", "vlan and vlan and tcp port 80", "vlan or ip", "ip or vlan",
        "ip or (vlan and ip)", "tcp port 80 or (vlan and tcp port 80)", "host 192.0.2.1 or (vlan 5 and host 192.0.2.1)",
        "vlan and tcp[tcpflags] & tcp-syn != 0", "vlan and ip[8] < 65", "vlan and arp", "vlan and not arp", "vlan and icmp6",
        "vlan and ether host 52:54:00:12:34:56", "vlan and greater 100", "vlan and ip broadcast", "vlan and net 2001:db8::/32",
        "vlan and vlan 5 and udp", "vlan and tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420", "vlan and ether[14:2] = 0x0800",
        "vlan and portrange 50-60", "vlan and mpls", "vlan and pppoes", "ether proto 0x8100", "ether proto 0x88a8", "ether[12:2] = 0x8100",
        "ether[14:2] & 0xfff = 5", "vlan and ip proto 17", "vlan and ip6 proto 6", "mpls", "mpls 16", "mpls 1000", "mpls and ip",
        "mpls 16 and ip", "mpls and mpls", "mpls 16 and mpls 17", "mpls and host 192.0.2.1", "mpls 16 and tcp port 80",
        "mpls and mpls 17 and host 192.0.2.1", "mpls and ip6", "not mpls", "mpls and udp port 53", "pppoed", "pppoes", "pppoes 1",
        "pppoes 0x27", "pppoes and ip", "pppoes and ip6", "pppoes and host 192.0.2.1", "pppoes 1 and tcp port 80", "pppoes and udp port 53",
        "pppoes and ip[8] < 65", "not pppoes", "geneve", "geneve 7", "geneve and ip", "geneve 7 and tcp port 80",
        "geneve and host 192.0.2.1",
        "geneve and arp", "geneve and vlan and ip", "geneve 7 and ip6", "not geneve",
    ]
}
