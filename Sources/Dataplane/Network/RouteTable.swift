// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibmnl
import Glibc
import TapModel

/// Asks rtnetlink how packets of this network namespace get to an address.
struct RouteTable {
    let kernel: Kernel

    /// Neighbours whose address may be used: NUD_VALID of include/net/neighbour.h.
    private static let valid = UInt16(NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)
    /// ARPHRD_ETHER of linux/if_arp.h.
    private static let ethernet: UInt16 = 1
    /// RTAX_MTU among the nested metrics.
    private static let metricMTU = Int(RTAX_MTU)

    /// What `TapDataplane.path` gives, without asking anybody but the kernel.
    func path(to remote: [UInt8], source: [UInt8]?) throws -> UnderlayPath {
        let target = IPAddress.text(remote)
        if remote.count == 4 ? remote[0] >= 224 : remote[0] == 0xFF {
            throw Failure(.destinationUnsafe, "\(target) is an address of many; name one receiver")
        }
        if let source, try !isLocal(source) {
            throw Failure(.destinationDown, "\(IPAddress.text(source)) is no address of this host; correct source=")
        }
        let route = try route(to: remote, source: source)
        guard let ifindex = route.number(Int(RTA_OIF.rawValue), as: UInt32.self), let link = try link(ifindex) else {
            throw Failure(.neighbourUnreachable, "this host has no route to \(target)")
        }
        guard link.isEthernet, let mac = link.mac else {
            throw Failure(
                .notImplemented,
                "\(target) is reached by \(link.name), which has no Ethernet addresses; this version of virt-tap sends nothing by such devices"
            )
        }
        guard let own = source ?? route[Int(RTA_PREFSRC.rawValue)].map(Array.init) else {
            throw Failure(.destinationDown, "this host has no address to send to \(target) from; give \(link.name) one, or set source=")
        }
        let gateway = try Self.gateway(route) ?? remote
        let metric = route.nested(Int(RTA_METRICS.rawValue))?.number(Self.metricMTU, as: UInt32.self)
        return UnderlayPath(
            ifindex: ifindex, device: link.name, source: own, sourceMAC: mac, nextHop: gateway,
            nextHopMAC: link.hasARP ? try neighbour(gateway, ifindex) : mac, mtu: min(link.mtu, metric ?? .max))
    }

    /// Has the kernel ask for the next hop, or ask it whether it is still there. Needs CAP_NET_ADMIN.
    func ask(_ path: UnderlayPath) throws {
        var header = ndmsg()
        header.ndm_family = Self.family(path.nextHop)
        header.ndm_ifindex = Int32(path.ifindex)
        header.ndm_state = UInt16(NUD_NONE)
        header.ndm_flags = UInt8(NTF_USE)
        do {
            try NetlinkSocket(kernel).change(Int32(RTM_NEWNEIGH), UInt16(NLM_F_CREATE | NLM_F_REPLACE), header) {
                mnl_attr_put($0, UInt16(NDA_DST), path.nextHop.count, path.nextHop)
            }
        } catch let error as KernelError where error.number == ENODEV {
            // The device is gone, which its monitor tells.
        }
    }

    private static func family(_ address: [UInt8]) -> UInt8 { UInt8(address.count == 4 ? AF_INET : AF_INET6) }

    /// What the kernel would do with a packet; `nil`: nothing, there is no route.
    private func lookup(_ remote: [UInt8], source: [UInt8]?) throws -> NetlinkMessage? {
        var header = rtmsg()
        header.rtm_family = Self.family(remote)
        header.rtm_dst_len = UInt8(remote.count * 8)
        if let source { header.rtm_src_len = UInt8(source.count * 8) }
        do {
            return try NetlinkSocket(kernel).get(Int32(RTM_GETROUTE), header) {
                mnl_attr_put($0, UInt16(RTA_DST.rawValue), remote.count, remote)
                if let source { mnl_attr_put($0, UInt16(RTA_SRC.rawValue), source.count, source) }
            }
        } catch let error as KernelError where [ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL].contains(error.number) {
            return nil
        }
    }

    private func isLocal(_ address: [UInt8]) throws -> Bool {
        try (lookup(address, source: nil)?.header(rtmsg.self)?.rtm_type).map(Int32.init) == Int32(RTN_LOCAL)
    }

    private func route(to remote: [UInt8], source: [UInt8]?) throws -> NetlinkAttributes {
        let target = IPAddress.text(remote)
        let none = Failure(.neighbourUnreachable, "this host has no route to \(target); add one (ip route)")
        guard let message = try lookup(remote, source: source), let found = message.header(rtmsg.self) else { throw none }
        switch Int32(found.rtm_type) {
        case Int32(RTN_UNICAST): return message.attributes(after: rtmsg.self)
        case Int32(RTN_LOCAL):
            throw Failure(
                .destinationUnsafe, "\(target) is an address of this host itself; use an <interface> or a <domain>, or another machine's")
        case Int32(RTN_BROADCAST), Int32(RTN_MULTICAST), Int32(RTN_ANYCAST):
            throw Failure(.destinationUnsafe, "\(target) is an address of many; name one receiver")
        default: throw none
        }
    }

    /// Of the same family as the route (RTA_GATEWAY) or of the other (RTA_VIA, RFC 5549).
    private static func gateway(_ attributes: NetlinkAttributes) throws -> [UInt8]? {
        if let gateway = attributes[Int(RTA_GATEWAY.rawValue)] { return Array(gateway) }
        // struct rtvia: a family in 16 bits, and the address.
        return attributes[Int(RTA_VIA.rawValue)].map { Array($0.dropFirst(2)) }
    }

    private struct Link {
        var name: String
        var mac: MACAddress?
        var mtu: UInt32
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
                mtu: attributes.number(Int(IFLA_MTU), as: UInt32.self) ?? 1_500, isEthernet: found.ifi_type == Self.ethernet,
                hasARP: found.ifi_flags & UInt32(IFF_NOARP) == 0)
        } catch let error as KernelError where error.number == ENODEV {
            return nil
        }
    }

    private func neighbour(_ address: [UInt8], _ ifindex: UInt32) throws -> MACAddress? {
        var header = ndmsg()
        header.ndm_family = Self.family(address)
        header.ndm_ifindex = Int32(ifindex)
        let message = try NetlinkSocket(kernel).get(Int32(RTM_GETNEIGH), header) {
            mnl_attr_put($0, UInt16(NDA_DST), address.count, address)
        }
        guard let message, let found = message.header(ndmsg.self), found.ndm_state & Self.valid != 0 else { return nil }
        return message.attributes(after: ndmsg.self)[Int(NDA_LLADDR)].flatMap { MACAddress(bytes: Array($0)) }
    }
}
