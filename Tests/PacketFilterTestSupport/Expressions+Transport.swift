// SPDX-License-Identifier: LGPL-2.1-or-later

extension Expressions {
    /// Ports, flags, what is in TCP, UDP and SCTP.
    static let transport = [
        "port 53", "src port 53", "dst port 53", "src or dst port 53", "src and dst port 53", "tcp port 80", "tcp src port 80",
        "tcp dst port 80", "udp port 53", "udp src port 53", "udp dst port 53", "sctp port 5060", "port domain", "port http", "port ssh",
        "tcp port https", "not port 22", "port 80 or port 443", "tcp port 80 or 443 or 8080", "portrange 8000-9000",
        "src portrange 1024-65535", "dst portrange 1-1023", "tcp portrange 80-90", "udp portrange 50-60", "tcp src portrange 1-1023",
        "sctp portrange 1-100", "port 0", "port 65535", "portrange 0-65535", "portrange 53-53", "ip and tcp port 80", "ip6 and tcp port 80",
        "ip6 and udp port 53", "host 192.0.2.1 and port 53", "host 192.0.2.1 and tcp port 80", "host 2001:db8::1 and port 80",
        "src host 192.0.2.11 and dst port 80", "net 192.0.2.0/24 and portrange 1-1023", "host 192.0.2.1 and not port 22",
        "tcp[tcpflags] & tcp-syn != 0", "tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn", "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
        "tcp[tcpflags] & tcp-rst != 0", "tcp[tcpflags] & tcp-push != 0", "tcp[tcpflags] & tcp-urg != 0", "tcp[tcpflags] = tcp-ack",
        "tcp[tcpflags] & tcp-ece != 0", "tcp[tcpflags] & tcp-cwr != 0", "tcp[13] & 2 != 0", "tcp[13] = 18", "tcp[0:2] = 80",
        "tcp[2:2] > 1023", "tcp[4:4] != 0", "tcp[14:2] < 1000", "tcp[12] & 0xf0 > 0x50", "tcp[12] >> 4 = 5",
        "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420", "tcp[(tcp[12] >> 2):4] = 0x47455420",
        "tcp port 80 and (((ip[2:2] - ((ip[0] & 0xf) << 2)) - ((tcp[12] & 0xf0) >> 2)) != 0)",
        "tcp port 80 and tcp[(tcp[12] >> 4) * 4] = 0x47", "tcp[20:4] = 0x47455420", "tcp[tcp[12] % 20] = 0", "udp[4:2] > 100",
        "udp[8:2] = 0x1234", "udp[8] & 0x80 = 0", "udp[4:2] - 8 = 0", "udp[0:2] = udp[2:2]", "tcp[0:2] > tcp[2:2]", "udp[6:2] != 0",
        "sctp[12] = 1", "udp and ip[8] = 255", "tcp and ip[6:2] & 0x2000 != 0", "tcp and greater 200", "udp and less 100",
        "tcp or udp or icmp", "(tcp or udp) and port 53", "icmp or (tcp and port 80)", "not (tcp or udp)",
        "not (tcp port 80 or udp port 53)",
        "tcp port 80 and host 192.0.2.1 and src net 192.0.2.0/24 and greater 60", "udp port 67 or udp port 68", "udp port 4789",
        "udp dst port 53 and udp[10] & 0x80 = 0", "udp[8:4] = 0x12345678 and udp port 53", "igmp[0] = 0x16",
    ]
}
