// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
import TapModel

/// struct tap_tunnel of bpf/tap.h: how copies for one destination are wrapped.
struct TunnelEntry {
    let bytes: [UInt8]

    /// - Parameters:
    ///   - label: the destination's.
    ///   - clockOffset: what the monotonic clock lacks of the real one, in nanoseconds.
    init(_ tunnel: TunnelHeader, of label: String, clockOffset: UInt64) {
        let oversize: UInt32 =
            switch tunnel.oversize {
            case .fragment: 0
            case .truncate: 1
            case .drop: 2
            }
        let numbers = [
            UInt32(tunnel.bytes.count), tunnel.form.rawValue, tunnel.isIPv6 ? 1 : 0, tunnel.mtu, tunnel.room, oversize,
            tunnel.inboundIdentifier.bigEndian, tunnel.outboundIdentifier.bigEndian,
        ]
        let header =
            [tunnel.isSpecificRoute ? Self.isOwnWay : 0, 0] + tunnel.bytes
            + [UInt8](repeating: 0, count: MapLayout.tunnelHeaderSize - tunnel.bytes.count)
        bytes =
            header + numbers.flatMap { withUnsafeBytes(of: $0, Array.init) } + withUnsafeBytes(of: clockOffset, Array.init)
            + [Self.number(of: label), tunnel.ifindex].flatMap { withUnsafeBytes(of: $0, Array.init) }
    }

    /// Of another machine to which nothing is to be sent, for the next daemon: with headers of no length the programs send nothing.
    init(_ way: SpecificRoute, of label: String) {
        let isIPv6 = way.remote.count == 16
        var entry = [UInt8](repeating: 0, count: Int(MapLayout.tunnels.valueSize))
        entry[0] = Self.isOwnWay
        entry.replaceSubrange(Self.remote(isIPv6: isIPv6), with: way.remote)
        entry.withUnsafeMutableBytes {
            $0.storeBytes(of: isIPv6 ? 1 : 0, toByteOffset: Self.isIPv6Offset, as: UInt32.self)
            $0.storeBytes(of: Self.number(of: label), toByteOffset: Self.numberOffset, as: UInt32.self)
            $0.storeBytes(of: way.ifindex, toByteOffset: Self.numberOffset + 4, as: UInt32.self)
        }
        bytes = entry
    }

    /// Of a device of this host: nothing is wrapped.
    /// - Parameter mtu: bytes of an IP packet that fit.
    init(mtu: UInt32) {
        let ethernet: UInt32 = 14
        let numbers: [UInt32] = [0, 0, 0, mtu, mtu + ethernet]
        let known = [UInt8](repeating: 0, count: 2 + MapLayout.tunnelHeaderSize) + numbers.flatMap { withUnsafeBytes(of: $0, Array.init) }
        bytes = known + [UInt8](repeating: 0, count: Int(MapLayout.tunnels.valueSize) - known.count)
    }

    /// The remote address and the device of an entry as it was written; `nil`: it was the default route, or the entry is another's.
    static func specificRoute(_ bytes: [UInt8], of label: String) -> SpecificRoute? {
        guard bytes.count == Int(MapLayout.tunnels.valueSize), bytes[0] & isOwnWay != 0 else { return nil }
        func word(_ offset: Int) -> UInt32 { bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self) } }
        guard word(numberOffset) == number(of: label) else { return nil }
        return SpecificRoute(remote: Array(bytes[Self.remote(isIPv6: word(isIPv6Offset) != 0)]), ifindex: word(numberOffset + 4))
    }

    /// Where the remote address is in the headers.
    private static func remote(isIPv6: Bool) -> Range<Int> { isIPv6 ? 40..<56 : 32..<36 }

    /// In the two bytes in front of the headers, which the programs do not read. Never to mean anything else: the next daemon reads it.
    private static let isOwnWay: UInt8 = 1
    private static let isIPv6Offset = 88
    private static let numberOffset = 120

    /// What tells one destination's copies from those of another that has had its place: a hash of the label (FNV-1a).
    static func number(of label: String) -> UInt32 {
        label.utf8.reduce(0x811C_9DC5) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
    }

    static func clockOffset() -> UInt64 { UInt64(bitPattern: WallClock.lead(over: CLOCK_MONOTONIC)) }
}
