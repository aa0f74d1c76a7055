// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibmnl
import Glibc
import TapModel

/// Reads the netdevs of this thread's network namespace, by rtnetlink. (/sys/class/net shows the namespace in which sysfs was
/// mounted, which need not be ours.)
enum DeviceList {
    static func read(_ kernel: Kernel) throws -> [HostDevice] {
        let socket = try NetlinkSocket(kernel)
        // Where devices come and go without a pause, as when many guests start, no answer is ever complete. A device that existed
        // all the time is in at least one of them. Each is read once more, since it may have gone or changed.
        var links = try socket.dump(Int32(RTM_GETLINK), ifinfomsg()) { pieces in
            try Set(pieces.compactMap { Link($0)?.device.index }).compactMap { try readLink($0, socket) }
        }.compactMap(Link.init)
        var addresses: [UInt32: Set<Address>] = [:]
        for address in try socket.dump(Int32(RTM_GETADDR), ifaddrmsg(), piecing: { $0 }).compactMap(Address.init) {
            addresses[address.ifindex, default: []].insert(address)
        }
        let everywhere = try sourceCheck(socket)
        let names = Dictionary(links.map { ($0.device.index, $0.device.name) }) { first, _ in first }
        for index in links.indices {
            let own = addresses[links[index].device.index] ?? []
            links[index].device.hasAddress = own.contains { !$0.isAutomatic }
            links[index].device.addresses = own.map(\.value).sorted { $0.text < $1.text }
            links[index].setSourceCheck(everywhere)
            links[index].device.masterName = links[index].device.master.flatMap { names[$0] }
        }
        return links.map(\.device).sorted { $0.index < $1.index }
    }

    /// Reads one device, without its addresses.
    static func read(_ name: String, _ kernel: Kernel) throws -> HostDevice? {
        let index = if_nametoindex(name)
        let socket = try NetlinkSocket(kernel)
        guard index != 0, var link = try readLink(index, socket).flatMap(Link.init), link.device.name == name else { return nil }
        link.setSourceCheck(try sourceCheck(socket))
        link.device.masterName = link.device.master.flatMap(Self.name)
        return link.device
    }

    /// Reads the ifindex of the device with this name or altname; `nil`: there is none.
    static func index(called name: String, _ kernel: Kernel) throws -> UInt32? {
        let index = if_nametoindex(name)
        if index != 0 { return index }
        do {
            // An altname may be longer than if_nametoindex() accepts.
            let message = try NetlinkSocket(kernel).get(Int32(RTM_GETLINK), ifinfomsg()) {
                mnl_attr_put_strz($0, UInt16(IFLA_ALT_IFNAME), name)
            }
            return message?.header(ifinfomsg.self).map { UInt32($0.ifi_index) }
        } catch let error as KernelError where error.number == ENODEV || error.number == EINVAL {
            // EINVAL: a kernel without altnames (before 5.5).
            return nil
        }
    }

    /// Reads net.ipv4.conf.all.rp_filter, the least that each device checks.
    private static func sourceCheck(_ socket: NetlinkSocket) throws -> UInt32 {
        var header = netconfmsg()
        header.ncm_family = UInt8(AF_INET)
        let message = try socket.get(Int32(RTM_GETNETCONF), header) {
            mnl_attr_put_u32($0, UInt16(NETCONFA_IFINDEX), UInt32(bitPattern: NETCONFA_IFINDEX_ALL))
        }
        return message?.attributes(after: netconfmsg.self).number(Int(NETCONFA_RP_FILTER), as: UInt32.self) ?? 0
    }

    private static func readLink(_ index: UInt32, _ socket: NetlinkSocket) throws -> NetlinkMessage? {
        var header = ifinfomsg()
        header.ifi_index = CInt(bitPattern: index)
        do {
            return try socket.get(Int32(RTM_GETLINK), header)
        } catch let error as KernelError where error.number == ENODEV {
            return nil
        }
    }

    private struct Link {
        var device: HostDevice
        /// net.ipv4.conf.….rp_filter; `nil`: no IPv4 at all.
        private var sourceCheck: UInt32?

        init?(_ message: NetlinkMessage) {
            guard message.type == Int32(RTM_NEWLINK), let header = message.header(ifinfomsg.self) else { return nil }
            let attributes = message.attributes(after: ifinfomsg.self)
            guard let name = attributes.text(Int(IFLA_IFNAME)) else { return nil }
            let info = attributes.nested(Int(IFLA_LINKINFO))
            device = HostDevice(
                index: UInt32(header.ifi_index), name: name,
                mac: attributes[Int(IFLA_ADDRESS)].flatMap { MACAddress(bytes: Array($0)) },
                kind: Self.kind(info, flags: header.ifi_flags), isUp: header.ifi_flags & UInt32(IFF_UP) != 0,
                hasCarrier: header.ifi_flags & Self.lowerUp != 0)
            device.isOpen = device.kind == .tap ? Self.isOpen(attributes, info) : nil
            device.transmitDrops =
                attributes.number(
                    Int(IFLA_STATS64), as: UInt64.self, at: MemoryLayout<rtnl_link_stats64>.offset(of: \.tx_dropped)!) ?? 0
            device.mtu = attributes.number(Int(IFLA_MTU), as: UInt32.self) ?? device.mtu
            device.master = attributes.number(Int(IFLA_MASTER), as: UInt32.self)
            if device.master != nil { device.masterKind = info?.text(Int(IFLA_INFO_SLAVE_KIND)) }
            device.alternativeNames = attributes.nested(Int(IFLA_PROP_LIST))?.texts(Int(IFLA_ALT_IFNAME)) ?? []
            // An adapter's link is itself; zero stands for a link that was not found.
            let link = attributes.number(Int(IFLA_LINK), as: UInt32.self).flatMap { [0, device.index].contains($0) ? nil : $0 }
            device.isLinkElsewhere = attributes[Int(IFLA_LINK_NETNSID)] != nil
            device.link = device.isLinkElsewhere ? nil : link
            device.isEthernet = header.ifi_type == Self.ethernet
            if attributes[Int(IFLA_PHYS_SWITCH_ID)] != nil { device.switchPort = attributes.text(Int(IFLA_PHYS_PORT_NAME)) ?? "" }
            device.hasARP = header.ifi_flags & UInt32(IFF_NOARP) == 0
            let families = attributes.nested(Int(IFLA_AF_SPEC))
            let isDisabled = families?.nested(Int(AF_INET6))?.number(
                Int(IFLA_INET6_CONF), as: UInt32.self, at: Self.disableIPv6 * MemoryLayout<UInt32>.size)
            device.hasIPv6 = isDisabled == 0
            sourceCheck = families?.nested(Int(AF_INET))?.number(
                Int(IFLA_INET_CONF), as: UInt32.self, at: Self.reversePathFilter * MemoryLayout<UInt32>.size)
        }

        /// Whether a program has a tap device open. An open tap device has a carrier, also while it is down. Without a carrier
        /// (TUNSETCARRIER), a device that is not persistent exists only while it is open, and one with many queues counts those.
        private static func isOpen(_ attributes: NetlinkAttributes, _ info: NetlinkAttributes?) -> Bool? {
            guard let carrier = attributes.number(Int(IFLA_CARRIER), as: UInt8.self) else { return nil }
            let tun = info?.nested(Int(IFLA_INFO_DATA))
            let queues = [IFLA_TUN_NUM_QUEUES, IFLA_TUN_NUM_DISABLED_QUEUES].compactMap { tun?.number(Int($0), as: UInt32.self) }
            return carrier == 1 || tun?.number(Int(IFLA_TUN_PERSIST), as: UInt8.self) == 0 || queues.contains { $0 > 0 }
        }

        /// IFF_LOWER_UP of linux/if.h, which cannot be included together with net/if.h.
        private static let lowerUp: UInt32 = 1 << 16

        /// Sets from which sources this host accepts packets that arrive on the device.
        /// - Parameter everywhere: net.ipv4.conf.all.rp_filter. The greater of the two settings counts, and 1 is the strict one.
        mutating func setSourceCheck(_ everywhere: UInt32) {
            device.takesAnySource = sourceCheck.map { max($0, everywhere) != 1 } ?? false
            device.isSourceCheckOverruled = everywhere > 1
        }

        /// ARPHRD_ETHER of linux/if_arp.h.
        private static let ethernet: UInt16 = 1
        /// DEVCONF_DISABLE_IPV6 of linux/ipv6.h, which cannot be included together with netinet/in.h: an index into the array IFLA_INET6_CONF.
        private static let disableIPv6 = 26
        /// IPV4_DEVCONF_RP_FILTER of linux/ip.h, for the same reason: an index into the array IFLA_INET_CONF.
        private static let reversePathFilter = 7

        private static func kind(_ info: NetlinkAttributes?, flags: UInt32) -> HostDevice.Kind {
            if flags & UInt32(IFF_LOOPBACK) != 0 { return .loopback }
            switch info?.text(Int(IFLA_INFO_KIND)) {
            case "tun":
                let mode = info?.nested(Int(IFLA_INFO_DATA))?.number(Int(IFLA_TUN_TYPE), as: UInt8.self)
                return mode == UInt8(IFF_TAP) ? .tap : .tun
            case "macvtap": return .macvtap
            case "bridge": return .bridge
            case let other: return .other(other ?? "")
            }
        }
    }

    private struct Address: Hashable {
        let ifindex: UInt32
        let value: DeviceAddress
        /// In fe80::/10, which every device gets by itself when it is set up.
        let isAutomatic: Bool

        init?(_ message: NetlinkMessage) {
            guard message.type == Int32(RTM_NEWADDR), let header = message.header(ifaddrmsg.self) else { return nil }
            let family = Int32(header.ifa_family)
            guard family == AF_INET || family == AF_INET6 else { return nil }
            let attributes = message.attributes(after: ifaddrmsg.self)
            // On a point-to-point link IFA_ADDRESS is the other machine's address, else it equals IFA_LOCAL. IPv6 has IFA_LOCAL only on
            // such links.
            let network = attributes[Int(IFA_ADDRESS)].map(Array.init)
            let own = attributes[Int(IFA_LOCAL)].map(Array.init) ?? network
            guard let own, let value = DeviceAddress(own, peer: network, prefixLength: Int(header.ifa_prefixlen)) else { return nil }
            ifindex = header.ifa_index
            self.value = value
            isAutomatic = family == AF_INET6 && header.ifa_scope == UInt8(RT_SCOPE_LINK.rawValue)
        }
    }

    /// Reads whether a device with this index exists at the moment.
    static func exists(_ ifindex: UInt32) -> Bool { name(ifindex) != nil }

    private static func name(_ ifindex: UInt32) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(IF_NAMESIZE)) { buffer in
            if_indextoname(ifindex, buffer.baseAddress).map { String(cString: $0) }
        }
    }
}
