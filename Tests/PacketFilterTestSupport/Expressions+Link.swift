// SPDX-License-Identifier: LGPL-2.1-or-later

extension Expressions {
    /// Ethernet, LLC and what the frame's type says.
    static let link = [
        "", "ether host 52:54:00:12:34:56", "ether src 52:54:00:12:34:56", "ether dst 52:54:00:12:34:56",
        "ether src host 52:54:00:aa:bb:cc", "ether dst host 52:54:00:aa:bb:cc", "not ether host 52:54:00:12:34:56",
        "ether src or dst 52:54:00:12:34:56", "ether src and dst 52:54:00:12:34:56", "ether broadcast", "broadcast", "ether multicast",
        "multicast", "not broadcast and not multicast", "ether proto 0x0800", "ether proto \\ip", "ether proto \\ip6", "ether proto \\arp",
        "ether proto \\rarp", "ether proto 0x88cc", "ether proto 0x88f7", "ether proto 0x86dd", "ether proto 0x1234", "ether proto 100",
        "ether proto 0x600", "ether proto 0x05dc", "ether proto 0xaa", "ether proto \\aarp", "ether proto \\decnet", "ether proto \\iso",
        "ether proto \\stp", "ether proto \\ipx", "ether proto \\netbeui", "ether proto \\atalk", "ether proto \\lat",
        "ether proto \\moprc",
        "ether proto \\mopdl", "ether proto \\sca", "ether proto \\loopback", "arp", "rarp", "atalk", "aarp", "decnet", "iso", "stp", "ipx",
        "netbeui", "lat", "moprc", "mopdl", "ip", "ip6", "not ip", "not ip6", "iso proto \\clnp", "iso proto \\esis", "iso proto \\isis",
        "clnp", "esis", "isis", "iih", "lsp", "snp", "csnp", "psnp", "l1", "l2", "llc", "llc i", "llc s", "llc u", "llc rr", "llc rnr",
        "llc rej", "llc ui", "llc ua", "llc disc", "llc sabme", "llc test", "llc xid", "llc frmr", "arp host 192.0.2.1",
        "arp src host 192.0.2.11", "arp dst host 192.0.2.1", "rarp host 192.0.2.1", "arp net 192.0.2.0/24", "arp src net 192.0.2",
        "rarp dst net 10", "arp[6:2] = 1", "arp[6:2] = 2", "arp[14:4] = 0xc000020b", "len > 100", "len <= 60", "len = 64", "len != 64",
        "less 64", "greater 1000", "less 128 and greater 60", "not less 60", "len & 1 = 0", "len % 3 = 1", "len - 14 > 46",
        "decnet src 1.2",
        "decnet dst 1.2", "decnet host 1.2", "ether[0] & 1 = 0 and ip[16] >= 224", "ether[6:4] = 0x52540012", "ether[0:2] = 0x12345",
        "ether[12:2] > 1500", "ether[12:2] <= 1500", "ether[60:4] = 0", "ether[1000] = 0", "link[12:2] = 0x800",
    ]
}
