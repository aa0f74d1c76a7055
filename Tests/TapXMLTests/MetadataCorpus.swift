// SPDX-License-Identifier: LGPL-2.1-or-later

/// Metadata that is right, and metadata with one thing wrong.
enum MetadataCorpus {
    static func tap(_ attributes: String, _ children: String = "") -> String {
        "<tap xmlns=\"urn:virt-tap:1\" \(attributes)>\(children)</tap>"
    }

    static func inline(_ target: String) -> String { tap("", "<destination>\(target)</destination>") }

    static let valid: [String] = written + attributes

    private static let attributes: [String] = {
        var taps: [String] = []
        for direction in ["inbound", "outbound", "both"] { taps.append(tap("to='a' direction='\(direction)'")) }
        for snaplen in ["64", "65535", "headers"] { taps.append(tap("to='a' snaplen='\(snaplen)'")) }
        for share in ["1/1", "1/10", "1/2147483647"] {
            taps.append(tap("to='a' sample='\(share)'"))
            taps.append(tap("to='a' sample-flows='\(share)'"))
        }
        for rate in ["1bit", "9999999999999bit", "10kbit", "100mbit", "9999gbit", "1pps", "7kpps"] {
            taps.append(tap("to='a' rate='\(rate)'"))
        }
        for burst in ["1", "65536", "64k", "9999m"] { taps.append(tap("to='a' rate='1mbit' burst='\(burst)'")) }
        taps.append(tap("to='a' rate='5kpps' burst='100'"))
        return taps
    }()

    private static let written: [String] = [
        "<taps xmlns=\"urn:virt-tap:1\"/>",
        "<v:taps xmlns:v='urn:virt-tap:1'><v:tap to='a'/><v:tap to='b'/></v:taps>",
        "<taps xmlns=\"urn:virt-tap:1\"><!-- two --><tap to=\"a\" name=\"x\"/>\n<tap to=\"a\" name=\"y\"/></taps>",
        tap("to='a' name='\(String(repeating: "n", count: 32))'"), tap("to='A.b_c-9'"), tap("to='9'"),
        tap("to='a'", "<interface mac='52:54:00:12:34:56'/><interface alias='ua-lan' bridge='br0'/><interface network='default'/>"),
        tap("to='a'", "<interface mac='5:4:0:1:3:F'/>"),
        tap(
            "to='a'",
            "<interface device='web1lan'/><interface device='tap100i0' network='default'/><interface device='Vnet0' alias='net0'/>"),
        tap("to='a'", "<filter>\n tcp port 443 and not host 192.0.2.1 </filter>"), tap("to='a'", "<filter><![CDATA[len < 100]]></filter>"),
        tap("to='a'", "<filter>\(String(repeating: "a", count: 4_096))</filter>"),
        tap("to='a'", "<filter>udp</filter><interface alias='net0'/>"), tap("to='a'", "<filter>tcp[inboundish] = 1</filter>"),
        tap("to='a' required='yes' enabled='no' once='yes'"), tap("to='a' required='no' enabled='yes' once='no'"),
        inline("<interface name='eth0.5'/>"), inline("<interface name='mon0' allow-shared='yes'/>"),
        inline("<monitor name='span0'/>"),
        inline("<interface name='enp5s0f0np0-altname-of-\(String(repeating: "x", count: 104))'/>"),
        inline("<domain name='--help' mac='52:54:00:00:00:07'/>"), inline("<domain name='sensor'/>"),
        inline("<domain uuid='d1dbdc68-15f1-4c11-9a7d-0b3d7c9f1c11'/>"),
        inline("<domain uuid='d1dbdc68-15f1-4c11-9a7d-0b3d7c9f1c11' alias='net0'/>"),
        inline("<domain name='s' uuid='d1dbdc6815f14c119a7d0b3d7c9f1c11' mac='52:54:00:00:00:07' alias='net0'/>"),
        inline("<vxlan remote='192.0.2.10' vni='0'/>"), inline("<vxlan remote='2001:db8::1' vni='16777215' port='1'/>"),
        inline("<vxlan remote='192.0.2.10' vni-inbound='1' vni-outbound='2'/>"),
        inline("<geneve remote='192.0.2.10' vni='7' vni-inbound='1' port='65535' source='192.0.2.1' ttl='255' dscp='63' oversize='drop'/>"),
        inline("<geneve remote='192.0.2.10' vni='7' device='ens4.10'/>"), inline("<vxlan remote='::9' vni='7' device='br0' source='::8'/>"),
        inline("<erspan remote='192.0.2.10' session='1' device='e'/>"), inline("<gre remote='192.0.2.10' device='ens4'/>"),
        inline("<gre remote='192.0.2.10'/>"), inline("<gre remote='192.0.2.10' key='4294967295' key-outbound='0' ttl='1' dscp='0'/>"),
        inline("<erspan remote='192.0.2.10' session='1023' version='2' oversize='truncate'/>"),
        inline("<erspan remote='192.0.2.10' session='0' version='1' oversize='fragment'/>"),
        inline("<erspan remote='192.0.2.10' session-inbound='1' session-outbound='2'/>"),
    ]

    static let invalid: [InvalidCase] = names + destinations + selectors + filters + numbers + structure

    private static let names: [InvalidCase] = {
        var cases = [
            InvalidCase(
                "<taps xmlns='urn:virt-tap:1'><tap to='a'/><tap name='a' to='b'/></taps>", at: "/taps/tap[2]", says: "has the name a",
                beyondSchema: "equal names")
        ]
        for name in ["", ".a", "-a", "a b", "ä", String(repeating: "n", count: 33), " a"] {
            cases.append(InvalidCase(tap("to='\(name)'"), at: "/tap/@to", says: "invalid name"))
            cases.append(InvalidCase(tap("to='a' name='\(name)'"), at: "/tap/@name", says: "the first a letter or digit"))
        }
        return cases
    }()

    private static let destinations: [InvalidCase] = [
        InvalidCase(tap(""), at: "/tap", says: "the tap has no destination"),
        InvalidCase(tap("to='a'", "<destination><gre remote='192.0.2.1'/></destination>"), at: "/tap", says: "keep one of them"),
        InvalidCase(tap("", "<destination/>"), at: "/tap/destination", says: "the destination is empty"),
        InvalidCase(
            inline("<gre remote='192.0.2.1'/><gre remote='192.0.2.2'/>"), at: "/tap/destination", says: "2 destinations in one element"),
        InvalidCase(
            tap("", "<destination><gre remote='192.0.2.1'/></destination><destination><gre remote='192.0.2.1'/></destination>"),
            at: "/tap/destination[2]", says: "only one <destination>"),
        InvalidCase(inline("<vxlam remote='192.0.2.1'/>"), at: "/tap/destination/vxlam", says: "unknown element", suggests: "vxlan"),
        InvalidCase(
            tap("", "<destination name='x'><gre remote='192.0.2.1'/></destination>"), at: "/tap/destination/@name",
            says: "host's configuration"),
        InvalidCase(
            tap("", "<destination mtu='1500'><gre remote='192.0.2.1'/></destination>"), at: "/tap/destination/@mtu",
            says: "host's configuration"
        ),
        InvalidCase(
            tap("", "<destination><gre remote='192.0.2.1'/><allow domain='a'/></destination>"), at: "/tap/destination/allow",
            says: "unknown"),
        InvalidCase(inline("<interface/>"), at: "/tap/destination/interface", says: "attribute name is missing"),
        InvalidCase(
            inline("<interface name='\(String(repeating: "x", count: 128))'/>"), at: "/tap/destination/interface/@name",
            says: "1 to 15 bytes"),
        InvalidCase(inline("<interface name='a/b'/>"), at: "/tap/destination/interface/@name", says: "invalid interface name"),
        InvalidCase(inline("<interface name='a b'/>"), at: "/tap/destination/interface/@name", says: "invalid interface name"),
        InvalidCase(
            inline("<interface name='..'/>"), at: "/tap/destination/interface/@name", says: "invalid interface name",
            beyondSchema: "two reserved names"),
        InvalidCase(
            inline("<interface name='\(String(repeating: "ä", count: 64))'/>"), at: "/tap/destination/interface/@name", says: "15 bytes",
            beyondSchema: "bytes, not characters"),
        InvalidCase(
            inline("<interface name='m' allow-shared='ja'/>"), at: "/tap/destination/interface/@allow-shared", says: "use yes or no"),
        InvalidCase(inline("<interface dev='m'/>"), at: "/tap/destination/interface/@dev", says: "named by its attribute name"),
        InvalidCase(inline("<domain mac='52:54:00:00:00:07'/>"), at: "/tap/destination/domain", says: "names no domain"),
        InvalidCase(inline("<domain name='' alias='net0'/>"), at: "/tap/destination/domain/@name", says: "empty"),
        InvalidCase(inline("<domain uuid='d1dbdc68' alias='n'/>"), at: "/tap/destination/domain/@uuid", says: "invalid UUID"),
        InvalidCase(
            inline("<domain uuid='d1dbdc681-5f1-4c11-9a7d-0b3d7c9f1c11' alias='n'/>"), at: "/tap/destination/domain/@uuid",
            says: "8-4-4-4-12"),
        InvalidCase(inline("<vxlan vni='1'/>"), at: "/tap/destination/vxlan", says: "remote is missing"),
        InvalidCase(inline("<vxlan remote='192.0.2.1'/>"), at: "/tap/destination/vxlan", says: "vni is missing"),
        InvalidCase(inline("<vxlan remote='192.0.2.1' vni-inbound='1'/>"), at: "/tap/destination/vxlan", says: "vni is missing"),
        InvalidCase(inline("<erspan remote='192.0.2.1' session-outbound='1'/>"), at: "/tap/destination/erspan", says: "session is missing"),
        InvalidCase(inline("<gre remote='192.0.2.1' port='1'/>"), at: "/tap/destination/gre/@port", says: "unknown attribute"),
        InvalidCase(inline("<gre remote='192.0.2.1' vni='1'/>"), at: "/tap/destination/gre/@vni", says: "unknown attribute"),
        InvalidCase(inline("<gre remote='192.0.2.1' version='1'/>"), at: "/tap/destination/gre/@version", says: "unknown attribute"),
        InvalidCase(inline("<vxlan remote='sensor' vni='1'/>"), at: "/tap/destination/vxlan/@remote", says: "names are not looked up"),
        InvalidCase(
            inline("<vxlan remote='192.0.2.256' vni='1'/>"), at: "/tap/destination/vxlan/@remote", says: "use an IPv4 or IPv6 address"),
        InvalidCase(
            inline("<vxlan remote='192.0.02.1' vni='1'/>"), at: "/tap/destination/vxlan/@remote", says: "use an IPv4 or IPv6 address"),
        InvalidCase(inline("<vxlan remote='192.0.2' vni='1'/>"), at: "/tap/destination/vxlan/@remote", says: "use an IPv4 or IPv6 address"),
        InvalidCase(
            inline("<vxlan remote='fe80::1%eth0' vni='1'/>"), at: "/tap/destination/vxlan/@remote", says: "use an IPv4 or IPv6 address"),
        InvalidCase(
            inline("<vxlan remote='1:::2' vni='1'/>"), at: "/tap/destination/vxlan/@remote", says: "use an IPv4 or IPv6 address",
            beyondSchema: "IPv6 addresses"),
        InvalidCase(
            inline("<vxlan remote='::' vni='1'/>"), at: "/tap/destination/vxlan/@remote", says: "unspecified address",
            beyondSchema: "IPv6 addresses"),
        InvalidCase(
            inline("<vxlan remote='0.0.0.0' vni='1'/>"), at: "/tap/destination/vxlan/@remote", says: "unspecified address",
            beyondSchema: "one address"
        ),
        InvalidCase(
            inline("<vxlan remote='::ffff:192.0.2.1' vni='1'/>"), at: "/tap/destination/vxlan/@remote", says: "IPv4-mapped",
            beyondSchema: "IPv6 addresses"),
        InvalidCase(
            inline("<vxlan remote='192.0.2.1' vni='1' source='2001:db8::1'/>"), at: "/tap/destination/vxlan/@source", says: "must both be",
            beyondSchema: "two attributes together"),
        InvalidCase(inline("<gre remote='192.0.2.1' device=''/>"), at: "/tap/destination/gre/@device", says: "invalid interface name"),
        InvalidCase(inline("<gre remote='192.0.2.1' device='a/b'/>"), at: "/tap/destination/gre/@device", says: "invalid interface name"),
        InvalidCase(
            inline("<erspan remote='192.0.2.1' session='1' device='a/b'/>"), at: "/tap/destination/erspan/@device",
            says: "1 to 15 bytes"),
        InvalidCase(
            inline("<vxlan remote='192.0.2.1' vni='1' oversize='cut'/>"), at: "/tap/destination/vxlan/@oversize", says: "use one of"),
        InvalidCase(
            inline("<vxlan remote='192.0.2.1' vni='1' oversize='fragmnet'/>"), at: "/tap/destination/vxlan/@oversize",
            says: "use one of fragment",
            suggests: "fragment"),
        InvalidCase(inline("<vxlan remote='192.0.2.1' vni='1'><x/></vxlan>"), at: "/tap/destination/vxlan/x", says: "<vxlan> has none"),
    ]

    private static let selectors: [InvalidCase] = [
        InvalidCase(tap("to='a'", "<interface/>"), at: "/tap/interface", says: "selects nothing"),
        InvalidCase(tap("to='a'", "<interface mac='52:54:00:12:34'/>"), at: "/tap/interface/@mac", says: "invalid MAC address"),
        InvalidCase(tap("to='a'", "<interface mac='52-54-00-12-34-56'/>"), at: "/tap/interface/@mac", says: "invalid MAC address"),
        InvalidCase(tap("to='a'", "<interface alias=''/>"), at: "/tap/interface/@alias", says: "empty"),
        InvalidCase(tap("to='a'", "<interface dev='web1lan'/>"), at: "/tap/interface/@dev", says: "by the attribute device"),
        InvalidCase(tap("to='a'", "<interface target='web1lan'/>"), at: "/tap/interface/@target", says: "by the attribute device"),
        InvalidCase(tap("to='a'", "<interface device='vnet3'/>"), at: "/tap/interface/@device", says: "names that begin with vnet"),
        InvalidCase(tap("to='a'", "<interface device='vif1.0'/>"), at: "/tap/interface/@device", says: "names that begin with vif"),
        InvalidCase(tap("to='a'", "<interface device='macvtap0'/>"), at: "/tap/interface/@device", says: "select by mac or alias"),
        InvalidCase(
            tap("to='a'", "<interface device='macvlan'/>"), at: "/tap/interface/@device", says: "may be another interface at the next start"
        ),
        InvalidCase(tap("to='a'", "<interface device='a/b'/>"), at: "/tap/interface/@device", says: "invalid interface name"),
        InvalidCase(tap("to='a'", "<interface device=''/>"), at: "/tap/interface/@device", says: "invalid interface name"),
        InvalidCase(tap("to='a'", "<interface alais='net0'/>"), at: "/tap/interface/@alais", says: "unknown attribute", suggests: "alias"),
        InvalidCase(
            tap("to='a'", "<interface alias='x'/><interface bridg='br0'/>"), at: "/tap/interface[2]/@bridg", says: "unknown",
            suggests: "bridge"),
    ]

    private static let filters: [InvalidCase] = [
        InvalidCase(tap("to='a'", "<filter/>"), at: "/tap/filter", says: "filter is empty"),
        InvalidCase(tap("to='a'", "<filter> \n\t</filter>"), at: "/tap/filter", says: "filter is empty"),
        InvalidCase(
            tap("to='a'", "<filter>\(String(repeating: "a", count: 4_097))</filter>"), at: "/tap/filter", says: "has 4097 bytes"),
        InvalidCase(
            tap("to='a'", "<filter>\(String(repeating: "ä", count: 2_049))</filter>"), at: "/tap/filter", says: "has 4098 bytes",
            beyondSchema: "bytes, not characters"),
        InvalidCase(
            tap("to='a'", "<filter>tcp and (inbound)</filter>"), at: "/tap/filter", says: "direction=\"inbound\"", beyondSchema: "a word"),
        InvalidCase(tap("to='a'", "<filter>!outbound</filter>"), at: "/tap/filter", says: "the reverse", beyondSchema: "a word"),
        InvalidCase(tap("to='a'", "<filter>tcp</filter><filter>udp</filter>"), at: "/tap/filter[2]", says: "only one <filter>"),
        InvalidCase(tap("to='a'", "<filter lang='bpf'>tcp</filter>"), at: "/tap/filter/@lang", says: "unknown attribute"),
        InvalidCase(tap("to='a'", "<filter>tcp<b/></filter>"), at: "/tap/filter/b", says: "unknown element"),
    ]

    private static let numbers: [InvalidCase] = directions + lengths + shares + rates + switches + tunnels

    private static let directions: [InvalidCase] = {
        let words: [(String, String?)] = [
            ("in", "inbound"), ("out", "outbound"), ("inout", "both"), ("Inbound", "inbound"), ("bth", "both"), ("rx", "inbound"),
            ("tx", "outbound"), ("ingress", nil), ("", nil), (" both", "both"),
        ]
        return words.map {
            InvalidCase(tap("to='a' direction='\($0.0)'"), at: "/tap/@direction", says: "invalid direction", suggests: $0.1)
        }
    }()

    private static let lengths: [InvalidCase] = {
        var cases = [InvalidCase(tap("to='a' snaplen='header'"), at: "/tap/@snaplen", says: "invalid snaplen", suggests: "headers")]
        for length in ["0", "63", "65536", "-1", "+64", "0x80", "1e3", "064", " 128", ""] {
            cases.append(InvalidCase(tap("to='a' snaplen='\(length)'"), at: "/tap/@snaplen", says: "use 64 to 65535, or headers"))
        }
        return cases
    }()

    private static let shares: [InvalidCase] = {
        var cases = [InvalidCase(tap("to='a' sample='1/2' sample-flows='1/2'"), at: "/tap/@sample-flows", says: "exclude each other")]
        for share in ["1/0", "0/1", "2/3", "1/2147483648", "10", "1/", "10%", "1/ 3", "1/01", ""] {
            cases.append(InvalidCase(tap("to='a' sample='\(share)'"), at: "/tap/@sample", says: "use 1/N"))
            cases.append(InvalidCase(tap("to='a' sample-flows='\(share)'"), at: "/tap/@sample-flows", says: "2147483647"))
        }
        return cases
    }()

    private static let rates: [InvalidCase] = {
        let units: [(String, String, String?)] = [
            ("mbps", "megabytes per second: use mbit", "100mbit"), ("Mbps", "megabytes per second: use mbit", "100mbit"),
            ("bps", "bytes per second: use bit", "100bit"), ("tibps", "mean bytes per second", nil), ("gbps", "gigabytes", "100gbit"),
            ("kbps", "kilobytes", "100kbit"), ("", "without a unit", nil), ("m", "invalid unit", nil),
        ]
        let cases = units.map { InvalidCase(tap("to='a' rate='100\($0.0)'"), at: "/tap/@rate", says: $0.1, suggests: $0.2) }
        return cases + [
            InvalidCase(tap("to='a' rate='10Mbit'"), at: "/tap/@rate", says: "invalid unit", suggests: "10mbit"),
            InvalidCase(tap("to='a' rate='0mbit'"), at: "/tap/@rate", says: "whole number from 1 to 9999999"),
            InvalidCase(tap("to='a' rate='10000gbit'"), at: "/tap/@rate", says: "1 to 9999 before gbit"),
            InvalidCase(tap("to='a' rate='1.5gbit'"), at: "/tap/@rate", says: "use a whole number, and a smaller unit"),
            InvalidCase(
                tap("to='a' rate='1tbit'"), at: "/tap/@rate",
                says: "invalid unit \"tbit\" of a rate: use bit, kbit, mbit, gbit, pps or kpps"),
            InvalidCase(tap("to='a' rate='mbit'"), at: "/tap/@rate", says: "whole number from 1"),
            InvalidCase(tap("to='a' rate='-1mbit'"), at: "/tap/@rate", says: "a number and its unit"),
            InvalidCase(tap("to='a' rate='01mbit'"), at: "/tap/@rate", says: "invalid rate"),
            InvalidCase(tap("to='a' rate='5 mbit'"), at: "/tap/@rate", says: "invalid unit \" mbit\"", suggests: "5mbit"),
            InvalidCase(tap("to='a' burst='64k'"), at: "/tap/@burst", says: "without rate"),
            InvalidCase(tap("to='a' rate='1mbit' burst='0'"), at: "/tap/@burst", says: ": use bytes"),
            InvalidCase(tap("to='a' rate='1mbit' burst='64kb'"), at: "/tap/@burst", says: ": use bytes"),
            InvalidCase(tap("to='a' rate='1pps' burst='64k'"), at: "/tap/@burst", says: "use a number of packets"),
        ]
    }()

    private static let switches: [InvalidCase] = {
        var cases: [InvalidCase] = []
        let words: [(String, String?)] = [("true", "yes"), ("0", "no"), ("Yes", "yes"), ("", nil), ("perhaps", nil)]
        for name in ["required", "enabled", "once"] {
            for (word, meant) in words {
                cases.append(InvalidCase(tap("to='a' \(name)='\(word)'"), at: "/tap/@\(name)", says: "use yes or no", suggests: meant))
            }
        }
        return cases
    }()

    private static let tunnels: [InvalidCase] = {
        var cases: [InvalidCase] = []
        let identifiers = [
            ("vni", "16777216", "vxlan"), ("key", "4294967296", "gre"), ("session", "1024", "erspan"), ("vni", "-1", "geneve"),
        ]
        for (name, value, kind) in identifiers {
            let xml = inline("<\(kind) remote='192.0.2.1' \(name)='\(value)'/>")
            cases.append(InvalidCase(xml, at: "/tap/destination/\(kind)/@\(name)", says: "use 0 to"))
        }
        let others = [
            ("port", "0"), ("port", "65536"), ("ttl", "0"), ("ttl", "256"), ("dscp", "64"), ("vni-inbound", "16777216"), ("dscp", "01"),
        ]
        for (name, value) in others {
            let xml = inline("<vxlan remote='192.0.2.1' vni='1' \(name)='\(value)'/>")
            cases.append(InvalidCase(xml, at: "/tap/destination/vxlan/@\(name)", says: "invalid number"))
        }
        for version in ["0", "3"] {
            let xml = inline("<erspan remote='192.0.2.1' session='1' version='\(version)'/>")
            cases.append(InvalidCase(xml, at: "/tap/destination/erspan/@version", says: "use 1 to 2"))
        }
        return cases
    }()

    private static let structure: [InvalidCase] = [
        InvalidCase("<tab xmlns='urn:virt-tap:1' to='a'/>", at: "/tab", says: "there are <tap> for one", suggests: "tap"),
        InvalidCase("<mirror xmlns='urn:virt-tap:1' to='a'/>", at: "/mirror", says: "there are <tap> for one"),
        InvalidCase("<taps xmlns='urn:virt-tap:1' to='a'/>", at: "/taps/@to", says: "<taps> has none"),
        InvalidCase("<taps xmlns='urn:virt-tap:1'><tpa to='a'/></taps>", at: "/taps/tpa", says: "<taps> has tap", suggests: "tap"),
        InvalidCase("<taps xmlns='urn:virt-tap:1'>x</taps>", at: "/taps", says: "text is not allowed"),
        InvalidCase(tap("to='a'", "tcp"), at: "/tap", says: "text is not allowed"),
        InvalidCase(tap("to='a' dierction='in'"), at: "/tap/@dierction", says: "unknown attribute", suggests: "direction"),
        InvalidCase(tap("to='a'", "<fitler>tcp</fitler>"), at: "/tap/fitler", says: "unknown element", suggests: "filter"),
        InvalidCase(tap("to='a' xmlns:x='urn:x' x:note='hi'"), at: "/tap/@x:note", says: "another namespace"),
        InvalidCase(tap("to='a' xml:lang='en'"), at: "/tap/@xml:lang", says: "another namespace"),
        InvalidCase(tap("to='a'", "<x:note xmlns:x='urn:x'/>"), at: "/tap/x:note", says: "another namespace"),
        InvalidCase(tap("to='a'", "<interface xmlns='' alias='net0'/>"), at: "/tap/interface", says: "another namespace"),
    ]
}
