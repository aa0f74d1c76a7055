// SPDX-License-Identifier: LGPL-2.1-or-later

/// Configurations that are right, and configurations with one thing wrong.
enum ConfigurationCorpus {
    static func file(_ children: String) -> String { "<virt-tap>\n\(children)\n</virt-tap>" }

    static let whole = """
        <?xml version="1.0" encoding="UTF-8"?>
        <!-- everything there is -->
        <virt-tap>
          <libvirt uri="qemu:///system"/>
          <policy taps="no" max-taps="32">
            <inline kinds="vxlan geneve" remote="192.0.2.0/24 2001:db8::/64"/>
          </policy>
          <mark value="0x1000" mask="0x3000"/>
          <hook timeout="7"/>  <resync interval="90"/>  <mechanism name="clsact"/>
          <limit rate="10gbit"/>
          <control group="virt-tap"/>
          <destination name="ids">
            <domain name="sensor" uuid="d1dbdc68-15f1-4c11-9a7d-0b3d7c9f1c11" mac="52:54:00:00:00:07"/>
          </destination>
          <destination name="span"><interface name="mon0" allow-shared="yes"/></destination>
          <destination name="here" rate="1gbit" mtu="1500"><monitor name="span0"/><allow domain="web-*"/></destination>
          <destination name="far" rate="1gbit" burst="1m" mtu="1500">
            <vxlan remote="2001:DB8:0::10" vni="100" port="4790" source="2001:db8::9" device="ens4"/>
            <allow domain="web-*"/>
            <allow uuid="d1dbdc68-15f1-4c11-9a7d-0b3d7c9f1c12"/>
          </destination>
        </virt-tap>
        """

    static let valid: [String] =
        [
            "<virt-tap/>", whole,
            file("<destination name='a'><allow domain='?'/><gre remote='192.0.2.1'/></destination><libvirt uri='x'/>"),
            file("<policy/>"), file("<mark value='4294967295'/>"), file("<mark value='0xFFFFFFFF' mask='0xffffffff'/>"),
            file("<mark value='1' mask='3'/>"), file("<hook timeout='1'/><resync interval='1'/>"),
            file("<hook timeout='10'/><resync interval='86400'/>"), file("<limit rate='5kpps' burst='9'/>"),
            file("<control group='_a-9'/>"),
            file("<policy max-taps='1'><inline kinds=' gre  erspan ' remote='0.0.0.0/0 ::/0'/></policy>"),
            file("<destination name='a'><erspan remote='192.0.2.1' session='1' device='ens4'/></destination>"),
            file("<destination name='a' mtu='576'><interface name='m'/></destination>"),
            file("<destination name='a'><monitor name='fifteen-bytes-0'/></destination>"),
            file("<destination name='a'><monitor name='lo0'/></destination><destination name='b'><monitor name='lo1'/></destination>"),
            file("<destination name='a'><interface name='m'/></destination><destination name='b'><interface name='m'/></destination>"),
            file("<destination name='a' mtu='65535' rate='10pps'><interface name='m'/></destination>"),
        ] + ["auto", "tcx", "clsact"].map { file("<mechanism name='\($0)'/>") }

    static let invalid: [InvalidCase] = [
        InvalidCase("<config/>", at: "/config", says: "not <virt-tap>", suggests: "virt-tap"),
        InvalidCase("<virt-tap xmlns='urn:virt-tap:1'/>", at: "/virt-tap", says: "unexpected namespace"),
        InvalidCase("<virt-tap version='1'/>", at: "/virt-tap/@version", says: "<virt-tap> has none"),
        InvalidCase(file("hello"), at: "/virt-tap", says: "text is not allowed"),
        InvalidCase(file("<polcy/>"), at: "/virt-tap/polcy", says: "unknown element", suggests: "policy"),
        InvalidCase(file("<x:policy xmlns:x='urn:x'/>"), at: "/virt-tap/x:policy", says: "another namespace"),
        InvalidCase(file("<policy/><policy/>"), at: "/virt-tap/policy[2]", says: "only one <policy>"),
        InvalidCase(file("<hook timeout='5'/><hook timeout='5'/>"), at: "/virt-tap/hook[2]", says: "only one <hook>"),
        InvalidCase(file("<libvirt/>"), at: "/virt-tap/libvirt", says: "uri is missing"),
        InvalidCase(file("<libvirt uri=''/>"), at: "/virt-tap/libvirt/@uri", says: "empty"),
        InvalidCase(file("<libvirt url='x' uri='x'/>"), at: "/virt-tap/libvirt/@url", says: "unknown", suggests: "uri"),
        InvalidCase(file("<policy taps='off'/>"), at: "/virt-tap/policy/@taps", says: "use yes or no", suggests: "no"),
        InvalidCase(file("<policy max-taps='0'/>"), at: "/virt-tap/policy/@max-taps", says: "use 1 to 32"),
        InvalidCase(file("<policy max-taps='33'/>"), at: "/virt-tap/policy/@max-taps", says: "use 1 to 32"),
        InvalidCase(file("<policy max-tap='3'/>"), at: "/virt-tap/policy/@max-tap", says: "unknown", suggests: "max-taps"),
        InvalidCase(file("<policy><inline kinds='gre'/></policy>"), at: "/virt-tap/policy/inline", says: "remote is missing"),
        InvalidCase(file("<policy><inline remote='::/0'/></policy>"), at: "/virt-tap/policy/inline", says: "kinds is missing"),
        InvalidCase(file("<policy><inline kinds='' remote='::/0'/></policy>"), at: "/virt-tap/policy/inline/@kinds", says: "list is empty"),
        InvalidCase(
            file("<policy><inline kinds='gre' remote=' '/></policy>"), at: "/virt-tap/policy/inline/@remote", says: "list is empty"),
        InvalidCase(
            file("<policy><inline kinds='gre interface' remote='::/0'/></policy>"), at: "/virt-tap/policy/inline/@kinds",
            says: "never of the kind"),
        InvalidCase(
            file("<policy><inline kinds='vxlna' remote='::/0'/></policy>"), at: "/virt-tap/policy/inline/@kinds", says: "use one of vxlan",
            suggests: "vxlan"),
        InvalidCase(
            file("<policy><inline kinds='gre' remote='192.0.2.0'/></policy>"), at: "/virt-tap/policy/inline/@remote",
            says: "invalid network"),
        InvalidCase(
            file("<policy><inline kinds='gre' remote='192.0.2.0/33'/></policy>"), at: "/virt-tap/policy/inline/@remote",
            says: "invalid network"),
        InvalidCase(
            file("<policy><inline kinds='gre' remote='::/129'/></policy>"), at: "/virt-tap/policy/inline/@remote", says: "invalid network"),
        InvalidCase(
            file("<policy><inline kinds='gre' remote='192.0.2.1/24'/></policy>"), at: "/virt-tap/policy/inline/@remote",
            says: "behind the prefix", beyondSchema: "bits of an address"),
        InvalidCase(file("<mark mask='1'/>"), at: "/virt-tap/mark", says: "value is missing"),
        InvalidCase(file("<mark value='0'/>"), at: "/virt-tap/mark/@value", says: "invalid mark"),
        InvalidCase(file("<mark value='0x0'/>"), at: "/virt-tap/mark/@value", says: "invalid mark"),
        InvalidCase(file("<mark value='4294967296'/>"), at: "/virt-tap/mark/@value", says: "invalid mark"),
        InvalidCase(file("<mark value='0x'/>"), at: "/virt-tap/mark/@value", says: "invalid mark"),
        InvalidCase(file("<mark value='0x+1'/>"), at: "/virt-tap/mark/@value", says: "invalid mark"),
        InvalidCase(file("<mark value='1' mask='0'/>"), at: "/virt-tap/mark/@mask", says: "invalid mark"),
        InvalidCase(
            file("<mark value='3' mask='1'/>"), at: "/virt-tap/mark/@value", says: "outside the mask",
            beyondSchema: "two attributes together"),
        InvalidCase(file("<hook/>"), at: "/virt-tap/hook", says: "timeout is missing"),
        InvalidCase(file("<hook timeout='0'/>"), at: "/virt-tap/hook/@timeout", says: "use 1 to 10"),
        InvalidCase(file("<hook timeout='11'/>"), at: "/virt-tap/hook/@timeout", says: "use 1 to 10"),
        InvalidCase(file("<hook timeout='5s'/>"), at: "/virt-tap/hook/@timeout", says: "use 1 to 10"),
        InvalidCase(file("<resync interval='0'/>"), at: "/virt-tap/resync/@interval", says: "use 1 to 86400"),
        InvalidCase(file("<resync interval='86401'/>"), at: "/virt-tap/resync/@interval", says: "use 1 to 86400"),
        InvalidCase(file("<mechanism/>"), at: "/virt-tap/mechanism", says: "name is missing"),
        InvalidCase(file("<mechanism name='tc'/>"), at: "/virt-tap/mechanism/@name", says: "use one of auto, tcx, clsact", suggests: "tcx"),
        InvalidCase(file("<limit/>"), at: "/virt-tap/limit", says: "rate is missing"),
        InvalidCase(file("<limit rate='10gbps'/>"), at: "/virt-tap/limit/@rate", says: "gigabytes", suggests: "10gbit"),
        InvalidCase(file("<control group=''/>"), at: "/virt-tap/control/@group", says: "invalid group name"),
        InvalidCase(file("<control group='9a'/>"), at: "/virt-tap/control/@group", says: "invalid group name"),
        InvalidCase(file("<destination><interface name='m'/></destination>"), at: "/virt-tap/destination", says: "name is missing"),
        InvalidCase(file("<destination name='a'/>"), at: "/virt-tap/destination", says: "the destination is empty"),
        InvalidCase(
            file("<destination name='a' mtu='575'><interface name='m'/></destination>"), at: "/virt-tap/destination/@mtu",
            says: "use 576 to 65535"),
        InvalidCase(
            file("<destination name='a' allow-shared='yes'><interface name='m'/></destination>"), at: "/virt-tap/destination/@allow-shared",
            says: "unknown"),
        InvalidCase(
            file("<destination name='a'><interface name='m'/></destination>\n<destination name='a'><interface name='n'/></destination>"),
            at: "/virt-tap/destination[2]/@name", says: "of line 2 has the name a too", beyondSchema: "equal names"),
        InvalidCase(file("<destination name='a'><monitor/></destination>"), at: "/virt-tap/destination/monitor", says: "name is missing"),
        InvalidCase(
            file("<destination name='a'><monitor dev='m'/></destination>"), at: "/virt-tap/destination/monitor/@dev",
            says: "named by its attribute name"),
        InvalidCase(
            file("<destination name='a'><monitor name='m' mtu='1500'/></destination>"), at: "/virt-tap/destination/monitor/@mtu",
            says: "attribute of <destination>"),
        InvalidCase(
            file("<destination name='a'><monitor name='sixteen-bytes-00'/></destination>"), at: "/virt-tap/destination/monitor/@name",
            says: "1 to 15 bytes"),
        InvalidCase(
            file("<destination name='a'><monitor name='virttap-x'/></destination>"), at: "/virt-tap/destination/monitor/@name",
            says: "virt-tap's own devices"),
        InvalidCase(
            file("<destination name='a'><monitor name='lo'/></destination>"), at: "/virt-tap/destination/monitor/@name",
            says: "loopback device"),
        InvalidCase(
            file("<destination name='a'><monitor name='all'/></destination>"), at: "/virt-tap/destination/monitor/@name",
            says: "refuses the device name"),
        InvalidCase(
            file("<destination name='a'><monitor name='default'/></destination>"), at: "/virt-tap/destination/monitor/@name",
            says: "refuses the device name"),
        InvalidCase(
            file("<destination name='a'><monitor name='span%d'/></destination>"), at: "/virt-tap/destination/monitor/@name",
            says: "template"),
        InvalidCase(
            file("<destination name='a'><monitor name='100%'/></destination>"), at: "/virt-tap/destination/monitor/@name",
            says: "template"),
        InvalidCase(
            file("<destination name='a'><monitor name='m'/></destination>\n<destination name='b'><interface name='m'/></destination>"),
            at: "/virt-tap/destination[2]", says: "of line 2 is m too", beyondSchema: "equal names"),
        InvalidCase(
            file("<destination name='a'><monitor name='m'/></destination>\n<destination name='b'><monitor name='m'/></destination>"),
            at: "/virt-tap/destination[2]", says: "a monitor port belongs to one destination", beyondSchema: "equal names"),
        InvalidCase(
            file("<policy><inline kinds='monitor' remote='::/0'/></policy>"), at: "/virt-tap/policy/inline/@kinds",
            says: "never of the kind monitor"),
        InvalidCase(
            file("<destination name='a'><interface name='m'/><allow/></destination>"), at: "/virt-tap/destination/allow",
            says: "either domain or uuid"),
        InvalidCase(
            file("<destination name='a'><interface name='m'/><allow domain='a' uuid='d1dbdc6815f14c119a7d0b3d7c9f1c11'/></destination>"),
            at: "/virt-tap/destination/allow", says: "either domain or uuid"),
        InvalidCase(
            file("<destination name='a'><interface name='m'/><allow domain=''/></destination>"), at: "/virt-tap/destination/allow/@domain",
            says: "empty"),
        InvalidCase(
            file("<destination name='a'><interface xmlns='urn:virt-tap:1' name='m'/></destination>"),
            at: "/virt-tap/destination/interface", says: "another namespace"),
        InvalidCase(
            file("<destination name='a'><monitor name='vnet0'/></destination>"), at: "/virt-tap/destination/monitor/@name",
            says: "reserved for devices that libvirt makes"),
        InvalidCase(
            file("<destination name='a'><monitor name='vif1'/></destination>"), at: "/virt-tap/destination/monitor/@name",
            says: "reserved for devices that libvirt makes"),
        InvalidCase(
            file("<destination name='a'><monitor name='macvtap2'/></destination>"), at: "/virt-tap/destination/monitor/@name",
            says: "reserved for devices that libvirt makes"),
        InvalidCase(
            file("<destination name='a'><monitor name='macvlan3'/></destination>"), at: "/virt-tap/destination/monitor/@name",
            says: "reserved for devices that libvirt makes"),
    ]
}
