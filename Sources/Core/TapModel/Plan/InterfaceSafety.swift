// SPDX-License-Identifier: LGPL-2.1-or-later

/// Decides whether copies may be sent to a device of this host, by what the device is: of the kinds below, and of who else uses it and
/// what it leads to. A kind that is not listed is refused.
///
/// What virt-tap cannot see: who uses a device from another network namespace (a container's macvlan), what a packet filter or a program
/// of others does with a frame (tc mirred), and what is at the far end of a wire.
public enum InterfaceSafety {
    public enum Verdict: Hashable, Sendable {
        /// Copies get to whoever listens there, and nowhere else.
        case safe
        /// They reach others, of whom none is a guest of this host as far as can be seen. What follows the device's name says why.
        case shared(String)
        /// They would get to guests, back to where they came from, or are not what the device takes: no option permits that.
        case never(String)
    }

    /// What a kind of device does with an Ethernet frame that it is given to send.
    enum Effect: Hashable {
        /// Gives it to who holds the device open or listens there, drops it, or sends it out at an adapter.
        case ends
        /// Makes it come in by the other end of the pair.
        case crosses
        /// Sends it by the device on which this one stands.
        case descends
        /// Sends it by its ports.
        case spreads
        /// Sends it to other machines, encapsulated or by a port of a switch chip.
        case leaves
        /// What follows the device's name says what makes copies there wrong.
        case harms(String)
    }

    /// The kinds (IFLA_INFO_KIND of rtnetlink) of Linux 6.18 and before, with `HostDevice.Kind` put into words. An adapter has none.
    static let effects: [String: Effect] = {
        var effects: [String: Effect] = [
            // Made for one who listens.
            "veth": .crosses, "netkit": .crosses, "dummy": .ends, "": .ends,
            // Stand on another device, or on several.
            "vlan": .descends, "macsec": .descends, "virt_wifi": .descends, "bond": .spreads, "team": .spreads, "hsr": .spreads,
            // Lead to other machines.
            "vxlan": .leaves, "geneve": .leaves, "gretap": .leaves, "ip6gretap": .leaves, "erspan": .leaves, "ip6erspan": .leaves,
            "dsa": .leaves,
            // Give it back, or to others on this host.
            // A guest's tap device is there before anybody knows whose it is, and its owner chooses its name.
            "tap": .harms("is a tap device, which is a guest's or may become one's: name a sensor VM with <domain>"),
            "ifb": .harms("is an ifb device, which hands what it is sent back to where it came from: guests would get frames twice"),
            "loopback": .harms("is the loopback device, which hands what it is sent to this host itself"),
            "bridge": .harms("is a bridge, whose other ports would get the copies"),
            "openvswitch": .harms("is a port of Open vSwitch, whose other ports would get the copies"),
            "batadv": .harms("is a mesh of batman-adv, all of whose machines would learn guests' addresses at this host"),
            "vrf": .harms("is a VRF, which sends packets on as if they were this host's own"),
            // Take nothing.
            "nlmon": .harms("is a monitor of netlink messages, which takes no frames"),
            "vsockmon": .harms("is a monitor of vsock, which takes no frames"),
        ]
        for kind in ["macvlan", "macvtap", "ipvlan", "ipvtap"] {
            effects[kind] = .harms(
                "is a \(kind) device: guests and containers on the same adapter, and the network behind it, would get the copies")
        }
        // Would send the packet inside the frame, as if it were this host's own, or no part of it.
        for kind in [
            "tun", "ipip", "sit", "gre", "ip6tnl", "ip6gre", "vti", "vti6", "xfrm", "wireguard", "ovpn", "ppp", "gtp", "bareudp", "amt",
            "pfcp",
            "rmnet", "wwan", "ipoib", "lowpan", "can", "vcan", "vxcan", "caif",
        ] { effects[kind] = .harms("is a \(kind) device, which \(withoutFrames)") }
        return effects
    }()

    /// The reason to refuse a device that virt-tap makes.
    static let isOwn = "is one that virt-tap makes for itself"
    private static let isAGuests = "is the device of a running domain"
    private static let withoutFrames = "takes no Ethernet frames"

    /// Kinds of devices that pass frames between their ports.
    private static let switches: Set<String> = ["bridge", "openvswitch", "batadv"]

    /// Kinds that share an adapter between guests or containers.
    private static let sharers: Set<String> = ["macvlan", "macvtap", "ipvlan", "ipvtap"]

    /// What copies that are sent by `device` would do.
    public static func verdict(on device: HostDevice, host: HostState) -> Verdict {
        var look = Look(host: host)
        return look.sending(by: device)
    }

    /// The warning about a device that may be a destination: its other end is here, and this host's IP stack listens there.
    static func remark(on device: HostDevice, host: HostState) -> TapStatus.Warning? {
        guard let far = device.peer.flatMap({ host.devices[$0] }) else { return nil }
        func setting(_ family: String, _ name: String) -> String {
            let parts = ["net", family, "conf", far.name, name]
            return parts.joined(separator: far.name.contains(".") ? "/" : ".")
        }
        // Those that IPv6 gives every device go with IPv6.
        let addresses = far.addresses.filter { !$0.address.starts(with: [0xFE, 0x80]) }.map(\.text)
        let open: [(isSo: Bool, what: String, command: String)] = [
            (far.hasARP, "ARP is on", "ip link set dev \(far.name) arp off"),
            (far.hasIPv6, "IPv6 is on", "sysctl -w \(setting("ipv6", "disable_ipv6"))=1"),
            (
                !addresses.isEmpty, "it has the address \(addresses.joined(separator: ", "))",
                "ip address flush dev \(far.name)"
            ),
            (
                far.takesAnySource, "it takes IPv4 packets from any source that are sent to its MAC address",
                "sysctl -w \(far.isSourceCheckOverruled ? "net.ipv4.conf.all.rp_filter=1 " : "")\(setting("ipv4", "rp_filter"))=1"
            ),
        ]
        let found = open.filter(\.isSo)
        guard !found.isEmpty else { return nil }
        return TapStatus.Warning(
            reason: .hostListens,
            message: "\(far.name), the other end of \(device.name), is in this host's own network namespace: "
                + "\(inWords(found.map(\.what))), so the host takes copies for packets to itself and may answer them. "
                + "Run \(inWords(found.map { "`\($0.command)`" })), or use a <monitor> in place of the pair")
    }

    /// A list as a sentence has it: `a, b and c`.
    private static func inWords(_ items: [String]) -> String {
        items.count < 2 ? items.joined() : items.dropLast().joined(separator: ", ") + " and " + items[items.count - 1]
    }

    /// One examination of a device and of those that it leads to, each of them once.
    private struct Look {
        let host: HostState
        private var seen: Set<UInt32> = []

        init(host: HostState) { self.host = host }

        private mutating func isNew(_ device: HostDevice) -> Bool { seen.insert(device.index).inserted }

        /// What becomes of a frame that is sent by a device.
        mutating func sending(by device: HostDevice) -> Verdict {
            guard isNew(device) else { return .safe }
            var worst = Verdict.safe
            if device.isOurs { return .never(InterfaceSafety.isOwn) }
            if let far = device.peer.flatMap({ host.devices[$0] }), far.isOurs {
                return .never("is the end of a monitor port at which sensors listen: name the port with <monitor> in place of <interface>")
            }
            if DestinationEvaluation.isGuests(device, host.claims) { return .never(InterfaceSafety.isAGuests) }
            if !device.isEthernet, device.kind != .loopback, !Self.isHarmful(device) { return .never(InterfaceSafety.withoutFrames) }
            switch InterfaceSafety.effects[device.kind.text] {
            case nil: return .never("is a device of kind \(device.kind.text), of which virt-tap does not know what it does with frames")
            case .harms(let why): return .never(why)
            case .ends:
                if let port = device.switchPort { worst.add(Self.chip(port)) }
                if device.kind == .other(""), device.link != nil || device.isLinkElsewhere {
                    worst.add(.shared("stands on another device"))
                }
            case .crosses:
                if let far = device.peer.flatMap({ host.devices[$0] }), isNew(far), case .never(let why) = users(of: far) {
                    worst.add(.never("leads to its other end, \(far.name), which \(why)"))
                }
            case .descends:
                guard let lower = device.lower.flatMap({ host.devices[$0] }) else {
                    return .never("stands on a device of another network namespace, where virt-tap does not see who uses it")
                }
                worst.add(.shared("is a \(device.kind.text) device, by which copies leave at \(lower.name)"))
                worst.add(sending(by: lower).seen(by: "leads to \(lower.name), which"))
            case .spreads:
                worst.add(.shared("is a \(device.kind.text) device, by which copies leave at its ports"))
                for port in host.devices.ports(of: device) { worst.add(sending(by: port).seen(by: "has the port \(port.name), which")) }
            case .leaves: worst.add(.shared("is a \(device.kind.text) device, by which copies leave for other machines"))
            }
            worst.add(users(of: device))
            return worst
        }

        /// Who gets what comes in by a device, and so is on the same wire.
        private mutating func users(of device: HostDevice) -> Verdict {
            var worst = Verdict.safe
            if DestinationEvaluation.isGuests(device, host.claims) { return .never(InterfaceSafety.isAGuests) }
            if InterfaceSafety.switches.contains(device.kind.text) { return .never("passes copies on to its ports") }
            worst.add(port(device))
            for upper in host.devices.uppers(of: device) where isNew(upper) {
                let kind = upper.kind.text
                if InterfaceSafety.sharers.contains(kind) {
                    worst.add(.never("is the adapter below \(upper.name) (\(kind)): copies would go out into that device's network"))
                    continue
                }
                worst.add(.shared("is the device below \(upper.name)\(kind.isEmpty ? "" : " (\(kind))")"))
                // What a tunnel carries is on another network.
                if InterfaceSafety.effects[kind] != .leaves {
                    worst.add(users(of: upper).seen(by: "is the device below \(upper.name), which"))
                }
            }
            if device.hasAddress { worst.add(.shared("has an IP address")) }
            return worst
        }

        /// That a device is another's port.
        private mutating func port(_ device: HostDevice) -> Verdict {
            guard device.master != nil || device.masterKind != nil else { return .safe }
            let master = device.master.flatMap { host.devices[$0] }
            let kind = device.masterKind ?? master?.kind.text ?? ""
            let name = device.masterName ?? master?.name ?? ""
            if kind == "openvswitch" { return .never("is a port of Open vSwitch") }
            let text = "is a port of \(kind.isEmpty ? "" : kind + " ")\(name)"
            guard !InterfaceSafety.switches.contains(kind) else { return .never(text) }
            guard InterfaceSafety.effects[kind] != nil else { return .never("\(text), a kind that virt-tap does not know") }
            var worst = Verdict.shared(text)
            if let master, isNew(master) { worst.add(users(of: master).seen(by: "\(text), which")) }
            return worst
        }

        /// A port of a switch in an adapter or chip: pf0vf3, pf0sf88 are those of which the other end is a guest's.
        private static func chip(_ port: String) -> Verdict {
            if port.contains("vf") || port.contains("sf") {
                return .never("is the adapter's port \(port), at whose other end is a virtual function: a guest's")
            }
            return .shared("is a port\(port.isEmpty ? "" : ", \(port),") of a switch in hardware")
        }

        private static func isHarmful(_ device: HostDevice) -> Bool {
            if case .harms = InterfaceSafety.effects[device.kind.text] { true } else { false }
        }
    }
}

extension InterfaceSafety.Verdict {
    private var severity: Int {
        switch self {
        case .safe: 0
        case .shared: 1
        case .never: 2
        }
    }

    /// Becomes the worse of the two.
    fileprivate mutating func add(_ other: Self) {
        if other.severity > severity { self = other }
    }

    /// The same of a device that leads there.
    fileprivate func seen(by text: String) -> Self {
        switch self {
        case .safe: .safe
        case .shared(let why): .shared("\(text) \(why)")
        case .never(let why): .never("\(text) \(why)")
        }
    }
}

extension HostDevice.Kind {
    /// As in the table: IFLA_INFO_KIND, with `tap` and `tun` as kinds of their own; empty for an adapter.
    var text: String {
        switch self {
        case .tap: "tap"
        case .tun: "tun"
        case .macvtap: "macvtap"
        case .bridge: "bridge"
        case .loopback: "loopback"
        case .other(let kind): kind
        }
    }
}
