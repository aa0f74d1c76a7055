// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibmnl
import Glibc
import TapModel

/// An entry of the kernel's neighbour tables (ARP and NDP) as it is at the moment.
struct Neighbour {
    /// NUD_VALID of include/net/neighbour.h: states in which the kernel itself sends to the address.
    private static let valid = UInt16(NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)
    /// NDA_FLAGS_EXT and NTF_EXT_MANAGED, which headers have since Linux 5.16.
    private static let extendedFlags = 15
    private static let isManaged: UInt32 = 1

    /// `nil`: not resolved, or it did not answer.
    let mac: MACAddress?
    /// Whether somebody looks after the entry: an operator (a static entry, as a receiver that never answers needs), a routing
    /// daemon, or the kernel on somebody's behalf. Such an entry is never touched: since Linux 5.16 NTF_USE makes a permanent
    /// entry one that must answer, and takes the other two their flag.
    let isKept: Bool

    /// - Returns: `nil` when there is no entry, or no such device. Needs no privileges.
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

    /// Has the kernel ask for an address, as if it had a packet for it: one that is unknown or failed at once, one that is stale in
    /// some 5 s (delay_first_probe_time), one that answered lately when it becomes stale. Does nothing to an entry that somebody
    /// looks after. Needs CAP_NET_ADMIN.
    static func ask(_ address: [UInt8], _ ifindex: UInt32, _ kernel: Kernel) throws {
        let known = try read(address, ifindex, kernel)
        if known?.isKept == true { return }
        var header = header(address, ifindex)
        header.ndm_state = UInt16(NUD_NONE)
        header.ndm_flags = UInt8(NTF_USE)
        // Exclusive, so that an entry that somebody makes meanwhile is not taken for ours.
        let flags = known == nil ? UInt16(NLM_F_CREATE | NLM_F_EXCL) : 0
        do {
            try NetlinkSocket(kernel).change(Int32(RTM_NEWNEIGH), flags, header) {
                mnl_attr_put($0, UInt16(NDA_DST), address.count, address)
            }
        } catch let error as KernelError where [EEXIST, ENOENT, ENODEV].contains(error.number) {
            // It came or went meanwhile, or the device did, which the monitors tell.
        }
    }

    private static func header(_ address: [UInt8], _ ifindex: UInt32) -> ndmsg {
        var header = ndmsg()
        header.ndm_family = UInt8(address.count == 4 ? AF_INET : AF_INET6)
        header.ndm_ifindex = Int32(bitPattern: ifindex)
        return header
    }
}
