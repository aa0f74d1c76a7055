// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
import TapModel

/// struct tap_tunnel of bpf/tap.h: how copies for one destination are wrapped.
struct TunnelEntry {
    let bytes: [UInt8]

    /// - Parameters:
    ///   - label: the destination's.
    ///   - ifindex: of the device that takes the packets; 0: none.
    ///   - clockOffset: what the monotonic clock lacks of the real one, in nanoseconds.
    init(_ tunnel: TunnelHeader, of label: String, ifindex: UInt32, clockOffset: UInt64) {
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
        let header = [0, 0] + tunnel.bytes + [UInt8](repeating: 0, count: MapLayout.tunnelHeaderSize - tunnel.bytes.count)
        bytes =
            header + numbers.flatMap { withUnsafeBytes(of: $0, Array.init) } + withUnsafeBytes(of: clockOffset, Array.init)
            + [Self.number(of: label), ifindex].flatMap { withUnsafeBytes(of: $0, Array.init) }
    }

    /// Of a device of this host: nothing is wrapped.
    /// - Parameter mtu: bytes of an IP packet that fit.
    init(mtu: UInt32) {
        let ethernet: UInt32 = 14
        let numbers: [UInt32] = [0, 0, 0, mtu, mtu + ethernet]
        let known = [UInt8](repeating: 0, count: 2 + MapLayout.tunnelHeaderSize) + numbers.flatMap { withUnsafeBytes(of: $0, Array.init) }
        bytes = known + [UInt8](repeating: 0, count: Int(MapLayout.tunnels.valueSize) - known.count)
    }

    /// What tells one destination's copies from those of another that has had its place: a hash of the label (FNV-1a).
    static func number(of label: String) -> UInt32 {
        label.utf8.reduce(0x811C_9DC5) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
    }

    static func clockOffset() -> UInt64 { UInt64(bitPattern: WallClock.lead(over: CLOCK_MONOTONIC)) }
}
