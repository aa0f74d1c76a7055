// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibmnl
import Glibc
import TapModel

/// Reads by rtnetlink how packets of this network namespace get to an address.
struct RouteTable {
    let kernel: Kernel

    /// ARPHRD_ETHER of linux/if_arp.h.
    private static let ethernet: UInt16 = 1
    /// The MTU among the nested metrics of a route.
    private static let metricMTU = Int(RTAX_MTU)
    /// DEVCONF_MTU6 of linux/ipv6.h, which cannot be included together with netinet/in.h: an index into the array IFLA_INET6_CONF.
    private static let deviceMTU6 = 2

    /// Reads what `TapDataplane.path` returns. Sends nothing to anybody.
    func path(for query: UnderlayQuery) throws -> UnderlayPath {
        let (remote, source) = (query.remote, query.source)
        let target = IPAddress.text(remote)
        if let refusal = RemoteAddress.refusal(remote) { throw refusal }
        if let source, try !isLocal(source) {
            throw Failure(
                .destinationDown,
                "source address \(IPAddress.text(source)) is not an address of this host; add it to a device, or correct source=")
        }
        let device = try query.device.map { try requireUp($0, target) }
        let (route, prefixLength) = try route(to: remote, source: source, by: device)
        guard let ifindex = route.number(Int(RTA_OIF.rawValue), as: UInt32.self), let link = try link(ifindex) else {
            throw Failure(.neighbourUnreachable, "this host has no route to \(target)")
        }
        guard link.isEthernet, let mac = link.mac else {
            throw Failure(
                .notImplemented,
                "\(target) is reached through \(link.name), which has no Ethernet addresses; this version of virt-tap sends copies through Ethernet devices only"
            )
        }
        guard let own = source ?? route[Int(RTA_PREFSRC.rawValue)].map(Array.init) else {
            throw Failure(
                .destinationDown, "this host has no source address for copies to \(target); add an address to \(link.name), or set source=")
        }
        let gateway = try Self.gateway(route) ?? remote
        let metric = route.nested(Int(RTA_METRICS.rawValue))?.number(Self.metricMTU, as: UInt32.self)
        return UnderlayPath(
            ifindex: ifindex, device: link.name, source: own, sourceMAC: mac, nextHop: gateway,
            nextHopMAC: try Neighbour.read(gateway, ifindex, kernel)?.mac ?? (link.hasARP ? nil : mac),
            mtu: min(link.mtu, remote.count == 16 ? link.mtu6 ?? .max : .max, metric ?? .max), prefixLength: prefixLength)
    }

    /// Reads the device of device=.
    /// - Throws: `destination-down` when it does not exist or is down.
    private func requireUp(_ name: String, _ target: String) throws -> Device {
        guard let index = try DeviceList.index(called: name, kernel), let link = try link(index) else {
            throw Failure(
                .destinationDown,
                "device \(name) does not exist, through which \(target) is to be reached (device=); create it, or correct device=")
        }
        guard link.isUp else {
            throw Failure(
                .destinationDown,
                "device \(name) is down, through which \(target) is to be reached (device=); set it up: `ip link set \(name) up`")
        }
        return Device(index: index, name: name)
    }

    /// Has the kernel resolve the next hop's MAC address, or verify it. Needs CAP_NET_ADMIN.
    func probeNextHop(of path: UnderlayPath) throws { try Neighbour.probe(path.nextHop, path.ifindex, kernel) }

    private static func ownAddress(_ target: String) -> Failure {
        Failure(
            .destinationUnsafe,
            "\(target) is an address of this host; use another machine's address, or an <interface> or <domain> on this host")
    }

    private static func family(_ address: [UInt8]) -> UInt8 { UInt8(address.count == 4 ? AF_INET : AF_INET6) }

    /// Reads what the kernel would do with a packet.
    /// - Parameters:
    ///   - ifindex: only routes through this device; IPv6 with a source may return another's all the same.
    ///   - isMatch: return the entry of the routing table, and not the route that follows from it for this address.
    /// - Throws: `KernelError` with ENETUNREACH when there is no route, and with the number of a route of type unreachable
    ///   (EHOSTUNREACH), prohibit (EACCES) or blackhole (EINVAL).
    private func lookup(_ remote: [UInt8], source: [UInt8]?, by ifindex: UInt32? = nil, isMatch: Bool = false) throws -> NetlinkMessage? {
        var header = rtmsg()
        if isMatch { header.rtm_flags = UInt32(RTM_F_FIB_MATCH) }
        header.rtm_family = Self.family(remote)
        header.rtm_dst_len = UInt8(remote.count * 8)
        if let source { header.rtm_src_len = UInt8(source.count * 8) }
        return try NetlinkSocket(kernel).get(Int32(RTM_GETROUTE), header) {
            mnl_attr_put($0, UInt16(RTA_DST.rawValue), remote.count, remote)
            if let source { mnl_attr_put($0, UInt16(RTA_SRC.rawValue), source.count, source) }
            if let ifindex { mnl_attr_put_u32($0, UInt16(RTA_OIF.rawValue), ifindex) }
        }
    }

    /// The failure for an error that means that there is no route; `nil` for any other error.
    private static func noRoute(_ target: String, _ number: CInt?) -> Failure? {
        let why: String
        switch number {
        case nil, ENETUNREACH: why = "add one (ip route)"
        case EHOSTUNREACH: why = "remove the route or rule of type unreachable (ip route, ip rule)"
        case EACCES: why = "remove the route or rule of type prohibit (ip route, ip rule)"
        case EINVAL: why = "remove the route or rule of type blackhole (ip route, ip rule)"
        default: return nil
        }
        return Failure(.neighbourUnreachable, "this host has no route to \(target); \(why)")
    }

    /// Reads whether it is an address of this host. Needed for IPv6 too, where the kernel returns a route for any source.
    private func isLocal(_ address: [UInt8]) throws -> Bool {
        do {
            return try (lookup(address, source: nil)?.header(rtmsg.self)?.rtm_type).map(Int32.init) == Int32(RTN_LOCAL)
        } catch let error as KernelError where Self.noRoute("", error.number) != nil {
            return false
        }
    }

    private struct Device {
        let index: UInt32
        let name: String
    }

    /// Reads the route to an address.
    /// - Returns: the route's attributes, and its prefix length in bits.
    private func route(to remote: [UInt8], source: [UInt8]?, by device: Device?) throws -> (NetlinkAttributes, prefixLength: Int) {
        let target = IPAddress.text(remote)
        do {
            guard let device else { return try route(to: remote, source: source, ifindex: nil) }
            let found = try route(to: remote, source: source, ifindex: device.index)
            if Self.leaves(found, by: device) { return found }
            // IPv6 respects the device only without a source.
            let other = try route(to: remote, source: nil, ifindex: device.index)
            guard Self.leaves(other, by: device) else { throw Self.elsewhere(target, device) }
            return other
        } catch let error as KernelError {
            guard let failure = Self.noRoute(target, error.number) else { throw error }
            guard let device else { throw failure }
            throw Self.elsewhere(target, device)
        }
    }

    private static func leaves(_ route: (NetlinkAttributes, prefixLength: Int), by device: Device) -> Bool {
        route.0.number(Int(RTA_OIF.rawValue), as: UInt32.self) == device.index
    }

    private static func elsewhere(_ target: String, _ device: Device) -> Failure {
        Failure(
            .destinationDown,
            "no route to \(target) leads through \(device.name), as device= asks; add one (ip route), or correct device="
        )
    }

    private func route(to remote: [UInt8], source: [UInt8]?, ifindex: UInt32?) throws -> (NetlinkAttributes, prefixLength: Int) {
        let target = IPAddress.text(remote)
        // The route may change between the two requests, and a default route would count as a route of the remote's own.
        for _ in 0..<10 {
            // First the entry of the table: given only a device, IPv4 regards every address without a route as on the device's link.
            guard let match = try lookup(remote, source: source, by: ifindex, isMatch: true), let entry = match.header(rtmsg.self),
                let message = try lookup(remote, source: source, by: ifindex), let found = message.header(rtmsg.self)
            else { throw Failure(.neighbourUnreachable, "this host has no route to \(target)") }
            let attributes = message.attributes(after: rtmsg.self)
            try requireUsable(Int32(found.rtm_type), attributes, target)
            guard let taken = attributes.number(Int(RTA_OIF.rawValue), as: UInt32.self),
                Self.devices(match.attributes(after: rtmsg.self))?.contains(taken) ?? true
            else { continue }
            return (attributes, Int(entry.rtm_dst_len))
        }
        throw Failure(.neighbourUnreachable, "the routes to \(target) keep changing; they are read again every few seconds")
    }

    private func requireUsable(_ type: Int32, _ attributes: NetlinkAttributes, _ target: String) throws {
        switch type {
        case Int32(RTN_UNICAST):
            // Copies are handed to the device itself and would miss the route's encapsulation.
            guard attributes[Int(RTA_ENCAP.rawValue)] == nil, attributes[Int(RTA_ENCAP_TYPE.rawValue)] == nil else {
                throw Failure(
                    .notImplemented,
                    "the route to \(target) encapsulates packets (encap), which virt-tap cannot do for copies; use another route")
            }
        case Int32(RTN_LOCAL): throw Self.ownAddress(target)
        case Int32(RTN_BROADCAST), Int32(RTN_MULTICAST), Int32(RTN_ANYCAST):
            throw Failure(.destinationUnsafe, "\(target) is a broadcast, multicast or anycast address; use the address of one receiver")
        default: throw Failure(.neighbourUnreachable, "this host has no route to \(target)")
        }
    }

    /// The devices of an entry of the table; `nil` when it does not name them (net.ipv4.nexthop_compat_mode is off).
    private static func devices(_ entry: NetlinkAttributes) -> Set<UInt32>? {
        if let device = entry.number(Int(RTA_OIF.rawValue), as: UInt32.self) { return [device] }
        guard var hops = entry[Int(RTA_MULTIPATH.rawValue)] else { return nil }
        // struct rtnexthop: a length in 16 bits, itself and its attributes included, two bytes, the device.
        var devices: Set<UInt32> = []
        while hops.count >= 8 {
            let (length, device) = hops.withUnsafeBytes {
                (Int($0.loadUnaligned(as: UInt16.self)), $0.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
            }
            guard length >= 8 else { break }
            devices.insert(device)
            hops = hops.dropFirst((length + 3) & ~3)
        }
        return devices
    }

    /// The next hop, of the same family as the route (RTA_GATEWAY) or of the other (RTA_VIA, RFC 5549).
    private static func gateway(_ attributes: NetlinkAttributes) throws -> [UInt8]? {
        if let gateway = attributes[Int(RTA_GATEWAY.rawValue)] { return Array(gateway) }
        // struct rtvia: a family in 16 bits, and the address.
        return attributes[Int(RTA_VIA.rawValue)].map { Array($0.dropFirst(2)) }
    }

    private struct Link {
        var name: String
        var mac: MACAddress?
        var mtu: UInt32
        /// The device's MTU for IPv6, which a router may have announced; `nil`: the device has no IPv6.
        var mtu6: UInt32?
        var isUp: Bool
        var isEthernet: Bool
        var hasARP: Bool
    }

    private func link(_ ifindex: UInt32) throws -> Link? {
        var header = ifinfomsg()
        header.ifi_index = CInt(bitPattern: ifindex)
        do {
            guard let message = try NetlinkSocket(kernel).get(Int32(RTM_GETLINK), header), let found = message.header(ifinfomsg.self) else {
                return nil
            }
            let attributes = message.attributes(after: ifinfomsg.self)
            return Link(
                name: attributes.text(Int(IFLA_IFNAME)) ?? "", mac: attributes[Int(IFLA_ADDRESS)].flatMap { MACAddress(bytes: Array($0)) },
                mtu: attributes.number(Int(IFLA_MTU), as: UInt32.self) ?? 1_500,
                mtu6: attributes.nested(Int(IFLA_AF_SPEC))?.nested(Int(AF_INET6))?.number(
                    Int(IFLA_INET6_CONF), as: UInt32.self, at: Self.deviceMTU6 * MemoryLayout<UInt32>.size),
                isUp: found.ifi_flags & UInt32(IFF_UP) != 0, isEthernet: found.ifi_type == Self.ethernet,
                hasARP: found.ifi_flags & UInt32(IFF_NOARP) == 0)
        } catch let error as KernelError where error.number == ENODEV {
            return nil
        }
    }
}

/// An entry of the kernel's neighbour tables (ARP and NDP) as it is at the moment.
struct Neighbour {
    /// NUD_VALID of include/net/neighbour.h: states in which the kernel itself sends to the address.
    private static let valid = UInt16(NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)
    /// NDA_FLAGS_EXT and NTF_EXT_MANAGED, which headers have since Linux 5.16.
    private static let extendedFlags = 15
    private static let isManaged: UInt32 = 1

    /// `nil` when it is not resolved, or did not answer.
    let mac: MACAddress?
    /// Whether somebody manages the entry: an operator (a static entry, as a receiver that never answers needs), a routing
    /// daemon, or the kernel on somebody's behalf. Such an entry is never touched: since Linux 5.16 NTF_USE turns a permanent
    /// entry into one that must answer, and clears the flag of the other two.
    let isKept: Bool

    /// Reads an entry. Needs no privileges.
    /// - Returns: `nil` when there is no entry, or no such device.
    static func read(_ address: [UInt8], _ ifindex: UInt32, _ kernel: Kernel) throws -> Neighbour? {
        do {
            let message = try NetlinkSocket(kernel).get(Int32(RTM_GETNEIGH), header(address, ifindex)) {
                mnl_attr_put($0, UInt16(NDA_DST), address.count, address)
            }
            return message.flatMap(Neighbour.init)
        } catch let error as KernelError where error.number == ENODEV {
            return nil
        }
    }

    private init?(_ message: NetlinkMessage) {
        guard message.type == Int32(RTM_NEWNEIGH), let found = message.header(ndmsg.self) else { return nil }
        let attributes = message.attributes(after: ndmsg.self)
        let isValid = found.ndm_state & Self.valid != 0
        mac = isValid ? attributes[Int(NDA_LLADDR)].flatMap { MACAddress(bytes: Array($0)) } : nil
        isKept =
            found.ndm_state & UInt16(NUD_PERMANENT | NUD_NOARP) != 0 || found.ndm_flags & UInt8(NTF_EXT_LEARNED) != 0
            || (attributes.number(Self.extendedFlags, as: UInt32.self) ?? 0) & Self.isManaged != 0
    }

    /// Has the kernel probe an address, as if it had a packet for it: at once when it is unknown or failed, in some 5 s when it is stale
    /// (delay_first_probe_time), and later when it answered lately. Does nothing to an entry that somebody manages. Needs
    /// CAP_NET_ADMIN.
    static func probe(_ address: [UInt8], _ ifindex: UInt32, _ kernel: Kernel) throws {
        let known = try read(address, ifindex, kernel)
        if known?.isKept == true { return }
        var header = header(address, ifindex)
        header.ndm_state = UInt16(NUD_NONE)
        header.ndm_flags = UInt8(NTF_USE)
        // Exclusive, so that an entry that somebody makes meanwhile is not changed.
        let flags = known == nil ? UInt16(NLM_F_CREATE | NLM_F_EXCL) : 0
        do {
            try NetlinkSocket(kernel).change(Int32(RTM_NEWNEIGH), flags, header) {
                mnl_attr_put($0, UInt16(NDA_DST), address.count, address)
            }
        } catch let error as KernelError where [EEXIST, ENOENT, ENODEV].contains(error.number) {
            // The entry or the device came or went meanwhile, of which the monitors notify.
        }
    }

    private static func header(_ address: [UInt8], _ ifindex: UInt32) -> ndmsg {
        var header = ndmsg()
        header.ndm_family = UInt8(address.count == 4 ? AF_INET : AF_INET6)
        header.ndm_ifindex = Int32(bitPattern: ifindex)
        return header
    }
}
