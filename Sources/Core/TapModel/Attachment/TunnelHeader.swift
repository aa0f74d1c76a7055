// SPDX-License-Identifier: LGPL-2.1-or-later

/// The outer headers of a tunnel's packets on one path: Ethernet, IP and the tunnel's own, as far as all packets have the same. The kernel's
/// program fills in lengths, checksums, source ports and sequence numbers (bpf/tunnel.h).
///
/// Formats: VXLAN RFC 7348, Geneve RFC 8926, GRE RFC 2784 with the key of RFC 2890, ERSPAN types II and III
/// draft-foschiano-erspan-03.
public struct TunnelHeader: Hashable, Sendable {
    /// How the kernel's program fills in the headers; the numbers are those of enum tap_tunnel_kind.
    public enum Form: UInt32, Sendable {
        case udp = 1
        case gre, erspanII, erspanIII
    }

    /// The headers, at most 74 bytes.
    public let bytes: [UInt8]
    public let form: Form
    public let isIPv6: Bool
    /// The path's MTU: bytes of an IP packet.
    public let mtu: UInt32
    /// The longest frame that fits into one packet: bytes with the Ethernet header and its tags. 0: none fits.
    public let room: UInt32
    public let oversize: Tunnel.Oversize
    /// The VNI, key or session of each direction, as 32 bits of the header in host byte order.
    public let inboundIdentifier: UInt32
    public let outboundIdentifier: UInt32

    /// Whether the path follows a specific route and not the default route. It is not part of the headers but kept with them, so that a later
    /// daemon, which sees only the kernel's maps, knows it.
    public let isSpecificRoute: Bool
    /// The ifindex of the path's device, kept for the same reason.
    public let ifindex: UInt32

    private static let etherTypeIPv4: [UInt8] = [0x08, 0x00]
    private static let etherTypeIPv6: [UInt8] = [0x86, 0xDD]
    private static let transparentEthernetBridging: [UInt8] = [0x65, 0x58]
    private static let protocolUDP: UInt8 = 17
    private static let protocolGRE: UInt8 = 47
    /// The kernel's default (IPDEFTTL).
    private static let defaultTTL: UInt8 = 64

    /// - Parameters:
    ///   - remote: the tunnel's remote address, 4 or 16 bytes in network order.
    ///   - path: the path there; its addresses are of the same family.
    ///   - mtu: the path's MTU where the destination's configuration says it.
    /// - Returns: `nil` when the MAC address of the next hop is not known.
    public init?(_ tunnel: Tunnel, remote: [UInt8], path: UnderlayPath, mtu limit: UInt32?) {
        guard let nextHop = path.nextHopMAC, path.source.count == remote.count else { return nil }
        isIPv6 = remote.count == 16
        isSpecificRoute = !path.isByDefaultRoute
        ifindex = path.ifindex
        let form: Form =
            switch tunnel.kind {
            case .vxlan, .geneve: .udp
            case .gre: .gre
            case .erspan: tunnel.version == 2 ? .erspanIII : .erspanII
            }
        self.form = form
        let header = Self.header(tunnel)
        let traffic = (tunnel.dscp ?? 0) << 2
        let ttl = tunnel.ttl ?? Self.defaultTTL
        let number = form == .udp ? Self.protocolUDP : Self.protocolGRE
        let ip: [UInt8] =
            isIPv6
            ? [0x60 | traffic >> 4, traffic << 4, 0, 0, 0, 0, number, ttl] + path.source + remote
            : [0x45, traffic, 0, 0, 0, 0, 0, 0, ttl, number, 0, 0] + path.source + remote
        bytes = nextHop.bytes + path.sourceMAC.bytes + (isIPv6 ? Self.etherTypeIPv6 : Self.etherTypeIPv4) + ip + header
        mtu = min(path.mtu, limit ?? .max)
        let overhead = UInt32(ip.count + header.count)
        room = mtu > overhead ? mtu - overhead : 0
        oversize = tunnel.oversize
        func identifier(_ own: UInt32?) -> UInt32 {
            let number = own ?? tunnel.identifier ?? 0
            return form == .udp ? number << 8 : number
        }
        inboundIdentifier = identifier(tunnel.inboundIdentifier)
        outboundIdentifier = identifier(tunnel.outboundIdentifier)
    }

    /// The headers behind IP.
    private static func header(_ tunnel: Tunnel) -> [UInt8] {
        let port = tunnel.port ?? 0
        let udp: [UInt8] = [0, 0, UInt8(port >> 8), UInt8(port & 0xFF), 0, 0, 0, 0]
        switch tunnel.kind {
        case .vxlan: return udp + [0x08, 0, 0, 0, 0, 0, 0, 0]
        case .geneve: return udp + [0, 0] + transparentEthernetBridging + [0, 0, 0, 0]
        case .gre:
            let hasKey = [tunnel.identifier, tunnel.inboundIdentifier, tunnel.outboundIdentifier].contains { $0 != nil }
            return hasKey ? [0x20, 0] + transparentEthernetBridging + [0, 0, 0, 0] : [0, 0] + transparentEthernetBridging
        case .erspan:
            // GRE with a sequence number, then ERSPAN version 1 with an index, or version 2 with a timestamp and the type of frame.
            return tunnel.version == 2
                ? [0x10, 0, 0x22, 0xEB, 0, 0, 0, 0] + [0x20, 0, 0, 0] + [UInt8](repeating: 0, count: 8)
                : [0x10, 0, 0x88, 0xBE, 0, 0, 0, 0] + [0x10, 0, 0, 0] + [UInt8](repeating: 0, count: 4)
        }
    }
}
