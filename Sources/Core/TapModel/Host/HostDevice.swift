// SPDX-License-Identifier: LGPL-2.1-or-later

/// One netdev of our network namespace, as rtnetlink describes it.
public struct HostDevice: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// A tun device in tap mode: what libvirt makes for a guest.
        case tap
        /// A tun device in tun mode (no Ethernet header).
        case tun
        case macvtap
        case bridge
        case loopback
        /// Any other `IFLA_INFO_KIND` (`veth`, `vxlan`, …), or empty for a device without one, such as a NIC.
        case other(String)
    }

    /// Never zero; the kernel reuses them.
    public var index: UInt32
    /// As the kernel has it, at most 15 bytes.
    public var name: String
    /// Other names that the kernel finds it by (`ip link property add dev … altname …`), at most 127 bytes each.
    public var alternativeNames: [String] = []
    public var mac: MACAddress?
    public var kind: Kind
    /// IFF_UP: somebody set it up.
    public var isUp: Bool
    /// IFF_LOWER_UP: it has a carrier. A veth whose other end is down has none.
    public var hasCarrier: Bool
    /// Whether a program has a tap device open, which the kernel also tells while it is down; `nil`: not known.
    public var isOpen: Bool?
    /// The kind of the device that it is a port of (`bridge`, `openvswitch`, `bond`), if it is.
    public var masterKind: String?
    public var masterName: String?
    /// The ifindex of that device; `nil`: it is nobody's port.
    public var master: UInt32?
    /// The ifindex of the device that it is connected with (IFLA_LINK): the other end of a pair, or the device below it. `nil`: there is
    /// none, or it is in another network namespace.
    public var link: UInt32?
    /// Whether that one is in another network namespace.
    public var isLinkElsewhere = false
    /// ARPHRD_ETHER: whether it sends Ethernet frames as such.
    public var isEthernet = true
    /// The name of the port that it is of a switch in an adapter or chip (switchdev, DSA), empty where that has none; `nil`: it is none.
    public var switchPort: String?
    /// Whether this host answers ARP questions that come in by it (not IFF_NOARP).
    public var hasARP = true
    /// Whether this host takes IPv4 packets that come in by it from sources to which no route leads by it (rp_filter, of the device or of
    /// all, is not strict), however quiet it is else.
    public var takesAnySource = true
    /// Whether no setting of the device itself changes that: net.ipv4.conf.all.rp_filter is 2 (loose), and the greater of the two counts.
    public var isSourceCheckOverruled = false
    /// Whether this host takes IPv6 packets that come in by it (net.ipv6.conf.…disable_ipv6 is 0).
    public var hasIPv6 = false
    /// Whether it has an IPv4 address, or an IPv6 one that is not link-local: the kernel gives every device that is
    /// set up a link-local one by itself.
    public var hasAddress: Bool
    /// All of its addresses, link-local ones too, whether it is up or not: IPv4 ones stay when it is set down.
    public var addresses: [DeviceAddress] = []
    /// The device's own count of frames it did not send.
    public var transmitDrops: UInt64
    /// Bytes of a packet behind the Ethernet header, that may have a tag in addition.
    public var mtu: UInt32

    public init(
        index: UInt32, name: String, mac: MACAddress?, kind: Kind, isUp: Bool = true, hasCarrier: Bool = true, masterKind: String? = nil,
        masterName: String? = nil, hasAddress: Bool = false, transmitDrops: UInt64 = 0, mtu: UInt32 = 1_500
    ) {
        self.index = index
        self.name = name
        self.mac = mac
        self.kind = kind
        self.isUp = isUp
        self.hasCarrier = hasCarrier
        self.masterKind = masterKind
        self.masterName = masterName
        self.hasAddress = hasAddress
        self.transmitDrops = transmitDrops
        self.mtu = mtu
    }
}

extension HostDevice {
    /// Whether a program has it open, or may have it open: the kernel says so of tap devices only.
    public var isHeld: Bool { kind != .tap || isOpen ?? (!isUp || hasCarrier) }

    /// Whether nothing is behind it, so that an address on it says nothing of the way: `lo`, where routers have theirs, and dummy devices.
    public var leadsNowhere: Bool { kind == .loopback || kind == .other("dummy") }

    /// Whether it is one end of a pair: what is sent by the one comes in by the other.
    public var isPaired: Bool { kind == .other("veth") || kind == .other("netkit") }

    /// The ifindex of the other end of its pair.
    public var peer: UInt32? { isPaired ? link : nil }

    /// The ifindex of the device that it stands on.
    public var lower: UInt32? { isPaired ? nil : link }

    /// Whether it is named as the devices are that virt-tap makes for itself.
    public var isOurs: Bool { Self.isOurs(name) }

    /// The same of a name that a device may have.
    public static func isOurs(_ name: String) -> Bool { name.hasPrefix(ownPrefix) }

    /// What the names of all devices begin with that virt-tap makes.
    public static let ownPrefix = "virttap-"
}

/// The netdevs of our network namespace, found by name or by index.
public struct DeviceTable: Hashable, Sendable {
    private var byName: [String: HostDevice] = [:]
    private var nameOfIndex: [UInt32: String] = [:]
    private var indexOfAlternative: [String: UInt32] = [:]
    /// The ports of a device, and the devices that stand on it.
    private var above: [UInt32: Set<UInt32>] = [:]

    public init(_ devices: [HostDevice] = []) {
        for device in devices { insert(device) }
    }

    public subscript(name: String) -> HostDevice? { byName[name] }

    public subscript(index: UInt32) -> HostDevice? { nameOfIndex[index].flatMap { byName[$0] } }

    /// The device that has this name, or has it besides its own (altname): the kernel gives no name twice.
    public func device(called name: String) -> HostDevice? { byName[name] ?? indexOfAlternative[name].flatMap { self[$0] } }

    /// The ports of a bridge, bond or the like, in the order of their indices.
    public func ports(of device: HostDevice) -> [HostDevice] { others(device).filter { $0.master == device.index } }

    /// The devices that stand on one: VLAN and macvlan devices, tunnels that say by which device they leave.
    public func uppers(of device: HostDevice) -> [HostDevice] { others(device).filter { $0.lower == device.index } }

    private func others(_ device: HostDevice) -> [HostDevice] { (above[device.index] ?? []).sorted().compactMap { self[$0] } }

    /// Puts one in order that was looked up alone, without its addresses: those of the same device stand.
    /// - Parameter device: `nil` when there is none of that name.
    public mutating func update(_ name: String, _ device: HostDevice?) {
        let before = byName[name]
        if let before, before.index != device?.index { remove(before) }
        guard var device else { return }
        if let former = self[device.index], former.name != name { remove(former) }
        if let before, before.index == device.index {
            (device.hasAddress, device.addresses) = (before.hasAddress, before.addresses)
            remove(before)
        }
        insert(device)
    }

    private mutating func insert(_ device: HostDevice) {
        byName[device.name] = device
        nameOfIndex[device.index] = device.name
        for name in device.alternativeNames { indexOfAlternative[name] = device.index }
        for below in [device.master, device.lower] { if let below { above[below, default: []].insert(device.index) } }
    }

    private mutating func remove(_ device: HostDevice) {
        byName[device.name] = nil
        nameOfIndex[device.index] = nil
        for name in device.alternativeNames where indexOfAlternative[name] == device.index { indexOfAlternative[name] = nil }
        for below in [device.master, device.lower] {
            guard let below else { continue }
            above[below]?.remove(device.index)
            if above[below]?.isEmpty == true { above[below] = nil }
        }
    }

    public var all: some Collection<HostDevice> { byName.values }
}
