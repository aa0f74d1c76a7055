// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@testable import TapCommands

/// What the tools print is from the tools: iproute2 6.1, nftables 1.0.6, iptables 1.8.9, ipset 7.17, conntrack 1.4.7, wireguard-tools
/// 1.0.20210914 and Open vSwitch 3.1.0, in a network namespace with these rules.
@Suite("Who else uses the mark")
struct MarkUsageTests {
    /// A bit of NetBird's marks, which was the default once.
    private static let bit = PacketMark(value: 0x2000, mask: 0x2000)

    private func lines(_ text: String, _ format: MarkParser.Format, _ mark: PacketMark = bit) -> [String] {
        MarkParser.lines(of: text, in: format, using: mark)
    }

    @Test("ip rule, xfrm and tunnels")
    func ip() {
        let rules = """
            0:\tfrom all lookup local
            100:\tfrom all fwmark 0x2000/0x2000 lookup 100
            101:\tfrom all fwmark 0x1 lookup 101
            102:\tfrom all fwmark 0x4000/0xff00 lookup 102
            103:\tnot from all fwmark 0x1bd00 lookup 7120
            """
        #expect(
            lines(rules, .words) == [
                "100:\tfrom all fwmark 0x2000/0x2000 lookup 100", "103:\tnot from all fwmark 0x1bd00 lookup 7120",
            ])
        let states = """
            src 192.0.2.1 dst 192.0.2.2
            \tproto esp spi 0x00000001 reqid 0 mode transport
            \tmark 0x4000/0xff00 output-mark 0x1bd20/0xffffffff
            """
        #expect(lines(states, .words) == ["mark 0x4000/0xff00 output-mark 0x1bd20/0xffffffff"])
        #expect(lines("    vti remote 192.0.2.2 local 192.0.2.1 ikey 0.0.0.0 okey 0.0.0.0 fwmark 0x2000 ", .words).count == 1)
    }

    @Test("iptables: TPROXY, connection marks, and comments that are none of it")
    func iptables() {
        let rules = """
            -A PREROUTING -p tcp -m tcp --dport 80 -j TPROXY --on-port 3129 --on-ip 0.0.0.0 --tproxy-mark 0x1bd20/0x1bd20
            -A PREROUTING -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff
            -A PREROUTING -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff
            -A PREROUTING -j CONNMARK --set-xmark 0x1bd20/0xffffffff
            -A PREROUTING -m connmark --mark 0x1bd20/0xff -j MARK --set-xmark 0x2000/0x2000
            -A PREROUTING -m mark ! --mark 0x4000/0xff00 -j MARK --set-xmark 0x0/0xffffdfff
            -A PREROUTING -j MARK --set-xmark 0x2000/0x0
            -A FORWARD -j MARK --set-xmark 0x4000/0x4000
            -A FORWARD -m comment --comment "mark 0x2000 --mark 0x2000" -j ACCEPT
            -A FORWARD -m comment --comment mark 8192
            """
        let all = rules.split(separator: "\n").map(String.init)
        #expect(lines(rules, .words) == [all[0], all[3], all[4], all[6]])
        #expect(MarkParser.restoresConnectionMarks(rules, in: .words))
        #expect(!MarkParser.restoresConnectionMarks(all[2], in: .words))
    }

    @Test("ebtables, ipset and tc")
    func others() {
        let bridge = """
            -A FORWARD -j mark --mark-set 0x1bd20 --mark-target CONTINUE
            -A FORWARD -j mark --mark-or 0x2000 --mark-target ACCEPT
            -A FORWARD --mark 0x2000/0x2000 -j ACCEPT
            -A FORWARD -j mark --mark-set 0x1 --mark-target ACCEPT
            """
        #expect(lines(bridge, .words).count == 3)
        #expect(lines("add hs 192.0.2.7 skbmark 0x1bd20/0xffff\nadd hs 192.0.2.8 skbmark 0x1/0xffff", .words).count == 1)
        let actions = "total acts 1\n\n\taction order 0: skbedit  mark 113952 pipe\n\t index 1 ref 1 bind 0\n"
        #expect(lines(actions, .words) == ["action order 0: skbedit  mark 113952 pipe"])
        #expect(lines(actions.replacing("113952", with: "8/0xff"), .words).isEmpty)
        #expect(MarkParser.restoresConnectionMarks("\taction order 0: connmark zone 0 pipe\n", in: .words))
    }

    @Test("nft: expressions, maps, sets, ranges, tproxy, what is reckoned")
    func nft() {
        let ruleset = """
            table inet t {
            \tmap m {
            \t\ttype inet_service : mark
            \t\telements = { 80 : 0x00004000,
            \t\t\t     443 : 0x0001bd20 }
            \t}

            \tset s {
            \t\ttypeof meta mark
            \t\tflags interval
            \t\telements = { 0x00000001-0x00000003, 0x00002000 }
            \t}

            \tset other {
            \t\ttype inet_service
            \t\telements = { 80, 8192 }
            \t}

            \tchain c {
            \t\ttype filter hook prerouting priority mangle; policy accept;
            \t\tmeta mark set tcp dport map @m
            \t\tmeta mark set tcp dport map { 80 : 0x00004000, 443 : 0x0001bd20 }
            \t\tmeta mark set ct mark
            \t\tct mark set 0x0001bd20
            \t\tmeta mark & 0x0000ff00 == 0x00002000 accept
            \t\tmeta mark & 0x0000ff00 == 0x00004000 accept
            \t\tmeta mark & 0x00002000 != 0x00000000 accept
            \t\tmeta mark set meta mark & 0x0000ffff | 0x00002000
            \t\tmeta mark { 0x00000001, 0x00002001 } accept
            \t\tmeta mark vmap { 0x00002000 : accept, 0x00000001 : drop }
            \t\tmeta mark 0x00001000-0x00003000 accept
            \t\tmeta mark 0x00001000 accept
            \t\tmeta mark 0x00000001 accept comment "not 0x00002000"
            \t\ttcp dport 80 tproxy to :50080 meta mark set 0x00002000 accept
            \t\tmeta mark set jhash ip saddr mod 16 offset 8192
            \t\tmeta mark set numgen inc mod 2 offset 4
            \t\tmeta priority set 0:2000
            \t}
            }
            """
        #expect(
            lines(ruleset, .nft) == [
                "443 : 0x0001bd20 }", "elements = { 0x00000001-0x00000003, 0x00002000 }",
                "meta mark set tcp dport map { 80 : 0x00004000, 443 : 0x0001bd20 }", "ct mark set 0x0001bd20",
                "meta mark & 0x0000ff00 == 0x00002000 accept", "meta mark & 0x00002000 != 0x00000000 accept",
                "meta mark set meta mark & 0x0000ffff | 0x00002000", "meta mark { 0x00000001, 0x00002001 } accept",
                "meta mark vmap { 0x00002000 : accept, 0x00000001 : drop }", "meta mark 0x00001000-0x00003000 accept",
                "tcp dport 80 tproxy to :50080 meta mark set 0x00002000 accept", "meta mark set jhash ip saddr mod 16 offset 8192",
            ])
        #expect(MarkParser.restoresConnectionMarks(ruleset, in: .nft))
        #expect(lines(ruleset, .nft, PacketMark()).isEmpty)
        #expect(lines("\t\tmeta mark set 0x56001014\n\t\tmeta mark 0x00001000 accept", .nft, PacketMark()).count == 1)
    }

    @Test("Open vSwitch: what flows look for and put in, whole or bit by bit")
    func openVSwitch() {
        let begin = " cookie=0x2000, duration=0.025s, table=0, n_packets=8192, n_bytes=0, idle_age=0, "
        let flows = [
            "priority=5,ip actions=load:0x1bd20->NXM_NX_PKT_MARK[],NORMAL", "priority=6,ip actions=load:0x1->NXM_NX_PKT_MARK[13],NORMAL",
            "priority=9,ip actions=load:0x20->NXM_NX_PKT_MARK[8..15],NORMAL", "priority=7,pkt_mark=0x2000/0xff00,ip actions=drop",
            "priority=5,ip actions=set_field:0x2000/0xff00->pkt_mark,NORMAL",
            "priority=5,ip actions=ct(commit,exec(load:0x2000->NXM_NX_PKT_MARK[])),NORMAL",
        ]
        let rest = [
            "priority=0 actions=NORMAL", "priority=6,ip actions=load:0x1->NXM_NX_PKT_MARK[12],NORMAL",
            "priority=6,ip actions=load:0x2000->NXM_NX_REG0[],NORMAL", "priority=7,pkt_mark=0x1,ip actions=drop",
            "priority=9,ip actions=move:NXM_NX_REG0[]->NXM_NX_PKT_MARK[],NORMAL",
        ]
        let text = (["NXST_FLOW reply (xid=0x4):"] + (flows + rest).map { begin + $0 }).joined(separator: "\n")
        #expect(lines(text, .openFlow) == flows.map { String((begin + $0).dropFirst()).prefix(200).description })
    }

    @Test("WireGuard, and of connections those that carry it")
    func socketsAndConnections() {
        #expect(lines("wg0\t0xca6c\nwg1\toff\nwt0\t0x1bd00\n", .wireGuard) == ["wt0\t0x1bd00"])
        let entry = "udp      17 99 src=192.0.2.1 dst=192.0.2.2 sport=1 dport=2 [UNREPLIED] src=192.0.2.2 dst=192.0.2.1 mark=113952 use=1"
        #expect(lines(entry, .connections) == [entry])
    }

    @Test("Every tool is asked, bridges one by one, connections only where packets get their marks back; none there is not known")
    func asking() {
        #expect(MarkUsage.read(Self.bit) { _ in nil } == nil)
        var asked: [String] = []
        let rules = ["iptables-save": "-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff"]
        let users = MarkUsage.read(Self.bit) { command in
            asked.append(command.text)
            switch command.text {
            case "ovs-vsctl --timeout=2 list-br": return "br-int\nbr-ex\n"
            case "ovs-ofctl dump-flows br-ex": return " priority=5 actions=load:0x2000->NXM_NX_PKT_MARK[],NORMAL"
            case "conntrack -L --mark 0x2000/0x2000": return "tcp 6 src=192.0.2.1 mark=8192 use=1"
            case "iptables-legacy-save": return "-A PREROUTING -j MARK --set-xmark 0x2000/0x2000"
            default: return rules[command.text]
            }
        }
        #expect(
            users == [
                "iptables-legacy-save: -A PREROUTING -j MARK --set-xmark 0x2000/0x2000",
                "ovs-ofctl dump-flows br-ex: priority=5 actions=load:0x2000->NXM_NX_PKT_MARK[],NORMAL",
                "conntrack -L --mark 0x2000/0x2000: tcp 6 src=192.0.2.1 mark=8192 use=1",
            ])
        #expect(asked.contains("ovs-ofctl dump-flows br-int") && asked.contains("ip xfrm state list nokeys"))
        asked = []
        #expect(
            MarkUsage.read(Self.bit) { command in
                asked.append(command.name)
                return command.name == "ip" ? "" : nil
            } == [])
        #expect(!asked.contains("conntrack") && !asked.contains("ovs-ofctl"))
    }
}
