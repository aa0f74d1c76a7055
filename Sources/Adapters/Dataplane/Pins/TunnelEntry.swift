// SPDX-License-Identifier: LGPL-2.1-or-later

import CTapABI
import Glibc
import TapModel

/// How copies for one destination are encapsulated: `struct tap_tunnel` with what it is made of.
struct TunnelEntry {
    private let value: tap_tunnel

    /// As it is written into the map.
    var bytes: [UInt8] { withUnsafeBytes(of: value) { Array($0) } }

    /// - Parameters:
    ///   - label: the destination's.
    ///   - clockOffset: the real-time clock less the monotonic clock, in nanoseconds.
    init(_ tunnel: TunnelHeader, of label: String, clockOffset: UInt64) {
        var value = tap_tunnel()
        value.header.user.0 = tunnel.isSpecificRoute ? Self.ownPath : 0
        withUnsafeMutableBytes(of: &value.header.bytes) { $0.copyBytes(from: tunnel.bytes) }
        value.length = UInt32(tunnel.bytes.count)
        value.kind = Self.kind(tunnel.form).rawValue
        value.is_ipv6 = tunnel.isIPv6 ? 1 : 0
        value.mtu = tunnel.mtu
        value.room = tunnel.room
        value.oversize = Self.oversize(tunnel.oversize).rawValue
        value.identifiers = (tunnel.inboundIdentifier.bigEndian, tunnel.outboundIdentifier.bigEndian)
        value.clock_offset = clockOffset
        value.number = Self.number(of: label)
        value.ifindex = tunnel.ifindex
        self.value = value
    }

    /// The entry of another machine to which nothing is to be sent, for the next daemon: without headers the programs send nothing.
    init(_ way: SpecificRoute, of label: String) {
        var value = tap_tunnel()
        let isIPv6 = way.remote.count == 16
        value.header.user.0 = Self.ownPath
        withUnsafeMutableBytes(of: &value.header.bytes) {
            UnsafeMutableRawBufferPointer(rebasing: $0[Self.remote(isIPv6: isIPv6)]).copyBytes(from: way.remote)
        }
        value.is_ipv6 = isIPv6 ? 1 : 0
        value.number = Self.number(of: label)
        value.ifindex = way.ifindex
        self.value = value
    }

    /// The entry of a device of this host: nothing is encapsulated.
    /// - Parameter mtu: bytes of an IP packet that fit.
    init(mtu: UInt32) {
        var value = tap_tunnel()
        value.mtu = mtu
        value.room = mtu + Self.ethernetLength
        self.value = value
    }

    /// An entry as it is in the map; `nil`: of another size.
    init?(_ bytes: [UInt8]) {
        guard bytes.count == MemoryLayout<tap_tunnel>.size else { return nil }
        value = bytes.withUnsafeBytes { $0.loadUnaligned(as: tap_tunnel.self) }
    }

    /// The remote address and the device of an entry as it was written; `nil`: it was the default route, or the entry is another's.
    static func specificRoute(_ bytes: [UInt8], of label: String) -> SpecificRoute? {
        guard let value = TunnelEntry(bytes)?.value, value.header.user.0 & ownPath != 0, value.number == number(of: label) else {
            return nil
        }
        let remote = withUnsafeBytes(of: value.header.bytes) { Array($0[Self.remote(isIPv6: value.is_ipv6 != 0)]) }
        return SpecificRoute(remote: remote, ifindex: value.ifindex)
    }

    /// The same entry with the clock as it is now; `nil`: it differs by at most a millisecond.
    /// - Parameter offset: the real-time clock less the monotonic clock, in nanoseconds.
    func following(clockOffset offset: UInt64) -> TunnelEntry? {
        guard Int64(bitPattern: offset &- value.clock_offset).magnitude > 1_000_000 else { return nil }
        var value = value
        value.clock_offset = offset
        return TunnelEntry(value)
    }

    private init(_ value: tap_tunnel) { self.value = value }

    private static let ownPath = UInt8(TAP_HEADER_OWN_PATH)
    private static let ethernetLength: UInt32 = 14

    /// Where the remote address is in the headers.
    private static func remote(isIPv6: Bool) -> Range<Int> { isIPv6 ? 38..<54 : 30..<34 }

    private static func kind(_ form: TunnelHeader.Form) -> tap_tunnel_kind {
        switch form {
        case .udp: TAP_TUNNEL_UDP
        case .gre: TAP_TUNNEL_GRE
        case .erspanII: TAP_TUNNEL_ERSPAN_II
        case .erspanIII: TAP_TUNNEL_ERSPAN_III
        }
    }

    private static func oversize(_ oversize: Tunnel.Oversize) -> tap_oversize {
        switch oversize {
        case .fragment: TAP_OVERSIZE_FRAGMENT
        case .truncate: TAP_OVERSIZE_TRUNCATE
        case .drop: TAP_OVERSIZE_DROP
        }
    }

    /// What tells a destination's copies from those for a former owner of its slot: a hash of the label (FNV-1a).
    static func number(of label: String) -> UInt32 {
        label.utf8.reduce(0x811C_9DC5) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
    }

    static func clockOffset() -> UInt64 { UInt64(bitPattern: WallClock.lead(over: CLOCK_MONOTONIC)) }
}
