// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
import TapModel

/// `struct tap_limit` of bpf/tap.h: a rate as the time that each unit of it takes.
struct RateCost: BitwiseCopyable, Hashable {
    /// Of one byte or packet in 2^-6 ns, times 2^`shift`; 0: no limit.
    var cost: UInt64 = 0
    /// How much time may be taken at once, in 2^-6 ns.
    var depth: UInt64 = 0
    var shift: UInt32 = 0
    /// 1: the unit is a packet; 0: a byte.
    var isPackets: UInt32 = 0

    /// TAP_TIME_SHIFT.
    private static let timeShift: UInt64 = 6
    /// A frame is charged at most 2^20 units, and their cost must fit 64 bits.
    private static let greatestCost: UInt64 = 1 << 43
    /// Without a `burst`: what the rate gives in a twentieth of a second, and at least so many bytes or packets.
    private static let (leastBytes, leastPackets): (UInt64, UInt64) = (16 * 1_024, 10)

    /// What a map of rates holds when nothing is owed: the time now, in 2^-6 ns. Nine years are the whole range of such times, so
    /// that zero may lie in the future.
    static var allPaid: [UInt8] {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        let nanoseconds = UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
        return withUnsafeBytes(of: nanoseconds << timeShift) { [UInt8]($0) }
    }

    init() {}

    init(_ limit: RateLimit?) {
        guard let limit, limit.perSecond > 0 else { return }
        let unitsPerSecond: Double
        let least: UInt64
        switch limit.unit {
        case .bitsPerSecond: (unitsPerSecond, least) = (Double(limit.perSecond) / 8, Self.leastBytes)
        case .packetsPerSecond: (unitsPerSecond, least, isPackets) = (Double(limit.perSecond), Self.leastPackets, 1)
        }
        let time = 1e9 * Double(1 << Self.timeShift) / unitsPerSecond
        while shift < 32, time * Double(UInt64(1) << (shift + 1)) < Double(Self.greatestCost) { shift += 1 }
        cost = max(1, UInt64((time * Double(UInt64(1) << shift)).rounded()))
        let burst = limit.burst ?? max(least, UInt64(unitsPerSecond / 20))
        depth = UInt64(min(time * Double(burst), 0x1p62).rounded())
    }
}
