// SPDX-License-Identifier: LGPL-2.1-or-later

extension Expressions {
    /// Each operator with a constant and with another load beside it, and offsets that are worked out.
    static let arithmetic: [String] = {
        var found: [String] = []
        for operation in ["+", "-", "*", "/", "%", "&", "|", "^"] {
            found.append("ip[2:2] \(operation) 3 > 40")
            found.append("ip[8] \(operation) ip[9] = 70")
            found.append("ip[12:4] \(operation) ip[16:4] > 0x1000")
        }
        for operation in ["<<", ">>"] {
            found.append("ip[9] \(operation) 2 = 24")
            found.append("(ip[2:2] \(operation) (ip[8] & 7)) > 300")
            found.append("ether[0:4] \(operation) 31 = 0")
        }
        for relation in ["=", "!=", "<", "<=", ">", ">=", "=="] {
            found.append("ip[2:2] \(relation) 60")
            found.append("ip[2:2] \(relation) udp[4:2]")
            found.append("ether[0:4] \(relation) 0xffffffff")
            found.append("len \(relation) ip[2:2] + 14")
        }
        return found + [
            "-ip[8] = 4294967232", "-(ip[8] + 1) > 100", "0 - ip[8] != 0", "ip[ip[0] & 0xf] = 0", "ip[(ip[0] & 0xf) * 4] = 8",
            "ip[(ip[0] & 0xf) << 2:2] = 80", "ip[ip[2:2] - 1] = 0", "ether[len - 1] = 0", "ether[len - 4:4] = 0", "ether[len] = 0",
            "ether[ip[8]] != 0", "udp[udp[4:2] - 1] = 0x41", "ip[len - 20] & 1 = 0", "ether[ether[0:4]] = 0",
            "ip[20 - ip[8]] = 0", "(ip[0] & 0xf) * 4 + (tcp[12] >> 4) * 4 < ip[2:2]",
            "((ip[0] + ip[1]) * (ip[8] - ip[9])) / ((ip[3] | 1) + 1) % 7 = 3",
            "(ip[0] + (ip[1] + (ip[2] + (ip[3] + (ip[4] + ip[5]))))) > 100",
            "(ip[12:4] ^ ip[16:4]) & 0xffffff00 = 0", "ether[12:2] & 0xff00 = 0x0800", "ether[12:2] | 0x00ff = 0x08ff",
            "ether[12:2] ^ 0x0800 = 0", "ether[12:2] ^ 0x10800 = 0", "ether[12:2] & 0x1ffff = 0x800", "ip[16:4] | 0xff = 0xc00002ff",
            "ip[2:2] / ip[1] = 3", "ip[2:2] % ip[1] = 3", "5 = 5", "ip[0] > 0 and 1 = 1",
        ]
    }()

    /// `and`, `or`, `not`, brackets and what is long.
    static let combinations = [
        "ip and tcp and port 80 and host 192.0.2.1", "(ip or ip6) and (tcp or udp)", "not (ip and (tcp or udp))", "! arp && ! icmp",
        "tcp || udp", "not not ip", "(host 192.0.2.1 or host 192.0.2.2) and (port 53 or port 80)",
        "ether host 52:54:00:12:34:56 and ip and udp port 53 and ip[8] > 32 and greater 60",
        (1...40).map { "host 192.0.2.\($0)" }.joined(separator: " or "), (1...60).map { "port \($0)" }.joined(separator: " or "),
        (1...30).map { "net 10.\($0).0.0/16" }.joined(separator: " or "), (1...20).map { "ip[\($0)] = \($0)" }.joined(separator: " or "),
        (1...30).map { "not host 2001:db8::\($0)" }.joined(separator: " and "),
        (1...12).map { "(src host 192.0.2.\($0) and dst port \($0 * 10))" }.joined(separator: " or "),
    ]
}
