// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibmnl
import Glibc

/// A veth device of virt-tap's own, of the relay or of a monitor port: creates, prepares, reads and removes it by rtnetlink.
///
/// Such devices get no automatic addresses and answer no ARP. They are recognised by name and alias. A device that has the name and not
/// the alias is somebody else's and is left alone.
struct OwnDevice {
    /// The beginning of the alias of every device of ours.
    private static let owner = "virt-tap "
    private static let kind = "veth"
    /// IN6_ADDR_GEN_MODE_NONE of linux/if_link.h.
    private static let noAddresses: UInt8 = 1
    private static let largestMTU: UInt32 = 65_535

    let name: String
    let kernel: Kernel

    init(_ name: String, _ kernel: Kernel) {
        self.name = name
        self.kernel = kernel
    }

    init(_ end: RelayEnd, _ kernel: Kernel) { self.init(end.device, kernel) }

    struct Observed {
        var name: String
        var ifindex: UInt32
        var alias: String?
        var isUp: Bool
        /// `veth`; empty for a device without a kind, such as a network adapter.
        var kind: String
        /// The ifindex of the other end of a veth pair.
        var peer: UInt32?
        /// Whether the other end is in another network namespace, where `peer` is the ifindex of an unrelated device.
        var isPeerInOtherNamespace: Bool

        var isOurs: Bool { alias?.hasPrefix(OwnDevice.owner) ?? false }
        /// Whether nobody else can have made it: it has our alias, or it is what remains of an installation that ended before the alias
        /// was set.
        var mayBeOurs: Bool { isOurs || (mayBeJustCreated && !isUp) }
        /// Whether it can be what was created a moment ago, also if somebody has set it up since.
        var mayBeJustCreated: Bool { isOurs || (kind == OwnDevice.kind && alias == nil) }
    }

    /// Reads the device by its name, or an altname. Unlike if_nametoindex(), an error never counts as a missing device.
    /// - Returns: `nil` where there is no such device in this network namespace.
    func read() throws -> Observed? { try Self.read(ifinfomsg(), kernel) { mnl_attr_put_strz($0, UInt16(IFLA_IFNAME), name) } }

    /// - Returns: `nil` where there is no such device in this network namespace.
    static func read(_ ifindex: UInt32, _ kernel: Kernel) throws -> Observed? {
        var header = ifinfomsg()
        header.ifi_index = CInt(bitPattern: ifindex)
        guard header.ifi_index != 0 else { return nil }
        return try read(header, kernel) { _ in }
    }

    private static func read(_ header: ifinfomsg, _ kernel: Kernel, put: (UnsafeMutablePointer<nlmsghdr>) -> Void) throws -> Observed? {
        do {
            return try NetlinkSocket(kernel).get(Int32(RTM_GETLINK), header, put: put).flatMap(found)
        } catch let error as KernelError where error.number == ENODEV {
            return nil
        }
    }

    /// Reads every device of this network namespace that has our alias, whatever its name is by now.
    static func readAll(_ kernel: Kernel) throws -> [Observed] {
        // A device that is in none of the answers did not exist all the time.
        let messages = try NetlinkSocket(kernel).dump(Int32(RTM_GETLINK), ifinfomsg()) { $0 }
        let ours = Dictionary(messages.compactMap(found).filter(\.isOurs).map { ($0.ifindex, $0) }, uniquingKeysWith: { $1 })
        return ours.values.sorted { $0.ifindex < $1.ifindex }
    }

    private static func found(_ message: NetlinkMessage) -> Observed? {
        guard let header = message.header(ifinfomsg.self) else { return nil }
        let attributes = message.attributes(after: ifinfomsg.self)
        return Observed(
            name: attributes.text(Int(IFLA_IFNAME)) ?? "", ifindex: UInt32(header.ifi_index), alias: attributes.text(Int(IFLA_IFALIAS)),
            isUp: header.ifi_flags & UInt32(IFF_UP) != 0,
            kind: attributes.nested(Int(IFLA_LINKINFO))?.text(Int(IFLA_INFO_KIND)) ?? "",
            peer: attributes.number(Int(IFLA_LINK), as: UInt32.self), isPeerInOtherNamespace: attributes[Int(IFLA_LINK_NETNSID)] != nil)
    }

    /// - Parameter text: says whose device it is, and of which build of the programs.
    static func alias(_ text: String) -> String { owner + text }

    /// Creates a veth pair, of which this device is one end and `peer` the other.
    func create(peer: String) throws {
        try change(Int32(RTM_NEWLINK), UInt16(NLM_F_CREATE | NLM_F_EXCL), ifinfomsg()) { message in
            mnl_attr_put_strz(message, UInt16(IFLA_IFNAME), name)
            mnl_attr_put_u32(message, UInt16(IFLA_MTU), Self.largestMTU)
            let info = mnl_attr_nest_start(message, UInt16(IFLA_LINKINFO))
            mnl_attr_put_strz(message, UInt16(IFLA_INFO_KIND), Self.kind)
            let data = mnl_attr_nest_start(message, UInt16(IFLA_INFO_DATA))
            let nested = mnl_attr_nest_start(message, UInt16(VETH_INFO_PEER))
            // The peer's own header comes before its attributes.
            mnl_nlmsg_put_extra_header(message, MemoryLayout<ifinfomsg>.size)
            mnl_attr_put_strz(message, UInt16(IFLA_IFNAME), peer)
            mnl_attr_put_u32(message, UInt16(IFLA_MTU), Self.largestMTU)
            mnl_attr_nest_end(message, nested)
            mnl_attr_nest_end(message, data)
            mnl_attr_nest_end(message, info)
        }
    }

    /// Sets the alias, disables addressing and sets the device up.
    func prepare(_ ifindex: UInt32, alias: String) throws {
        try setAlias(alias, of: ifindex)
        try disableAddressing(ifindex)
        try setUp(ifindex)
    }

    /// Has the kernel make no automatic address on the device and answer no ARP on it. To be called before it is set up.
    func disableAddressing(_ ifindex: UInt32) throws {
        try set(UInt32(IFF_NOARP), on: ifindex)
        var header = ifinfomsg()
        header.ifi_index = CInt(ifindex)
        do {
            try change(Int32(RTM_NEWLINK), 0, header) { message in
                let families = mnl_attr_nest_start(message, UInt16(IFLA_AF_SPEC))
                let inet6 = mnl_attr_nest_start(message, UInt16(AF_INET6))
                mnl_attr_put_u8(message, UInt16(IFLA_INET6_ADDR_GEN_MODE), Self.noAddresses)
                mnl_attr_nest_end(message, inet6)
                mnl_attr_nest_end(message, families)
            }
        } catch let error as KernelError where [EAFNOSUPPORT, EOPNOTSUPP, EINVAL].contains(error.number) {
            // A kernel without IPv6 makes no automatic addresses.
        }
    }

    func setUp(_ ifindex: UInt32) throws { try set(UInt32(IFF_UP), on: ifindex) }

    /// Sets one of a device's flags (IFF_…) and leaves the others.
    private func set(_ flag: UInt32, on ifindex: UInt32) throws {
        var header = ifinfomsg()
        header.ifi_index = CInt(ifindex)
        header.ifi_flags = flag
        header.ifi_change = flag
        try change(Int32(RTM_NEWLINK), 0, header) { _ in }
    }

    /// Sets the alias (IFLA_IFALIAS), by which the device is recognised as ours.
    func setAlias(_ alias: String, of ifindex: UInt32) throws {
        var header = ifinfomsg()
        header.ifi_index = CInt(ifindex)
        try change(Int32(RTM_NEWLINK), 0, header) { mnl_attr_put_strz($0, UInt16(IFLA_IFALIAS), alias) }
    }

    func remove(_ ifindex: UInt32) throws {
        var header = ifinfomsg()
        header.ifi_index = CInt(ifindex)
        do {
            try change(Int32(RTM_DELLINK), 0, header) { _ in }
        } catch let error as KernelError where error.number == ENODEV {}
    }

    private func change(_ type: Int32, _ flags: UInt16, _ header: ifinfomsg, put: (UnsafeMutablePointer<nlmsghdr>) -> Void) throws {
        try kernel.check(.changeDevice, name) {
            do {
                try NetlinkSocket(kernel).change(type, flags, header, put: put)
                return 0
            } catch {
                errno = (error as? KernelError)?.number ?? EIO
                return -1
            }
        }
    }

    // MARK: Offloads

    /// Turns off the device's offloads: the kernel then segments, linearises and fills in checksums before it transmits.
    func disableOffloads() throws {
        for command in [ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SSG, ETHTOOL_STXCSUM] { try ethtool(command) }
    }

    /// Reads whether any offload is on that `disableOffloads` turns off.
    func hasOffloads() throws -> Bool {
        try [ETHTOOL_GTSO, ETHTOOL_GGSO, ETHTOOL_GSG, ETHTOOL_GTXCSUM].contains { try ethtool($0) != 0 }
    }

    /// Reads an offload (ETHTOOL_G…), or turns it off (ETHTOOL_S…).
    @discardableResult
    private func ethtool(_ command: Int32) throws -> UInt32 {
        let descriptor = try kernel.check(.changeDevice, name) { socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0) }
        defer { close(descriptor) }
        var value = ethtool_value(cmd: UInt32(command), data: 0)
        try withUnsafeMutablePointer(to: &value) { value in
            var request = ifreq()
            withUnsafeMutableBytes(of: &request.ifr_ifrn) { $0.copyBytes(from: name.utf8.prefix(15)) }
            request.ifr_ifru.ifru_data = UnsafeMutableRawPointer(value).assumingMemoryBound(to: CChar.self)
            try kernel.check(.changeDevice, name) { ioctl(descriptor, UInt(SIOCETHTOOL), &request) }
        }
        return value.data
    }
}
