// SPDX-License-Identifier: LGPL-2.1-or-later

import CTapABI
import Glibc
import TapModel

/// What a rate is to the programs: the time that each unit of it takes.
enum RateCost {
    private static let greatestCost: UInt64 = 1 << UInt64(TAP_RATE_COST_SHIFT)
    /// Without a `burst`: what the rate gives in a twentieth of a second, and at least this many bytes or packets.
    private static let (leastBytes, leastPackets): (UInt64, UInt64) = (16 * 1_024, 10)

    /// What a map of rates holds when nothing is owed: the time now, in 2^-6 ns. Nine years are the whole range of such times, so
    /// that zero may lie in the future.
    static var allPaid: [UInt8] {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        let nanoseconds = UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
        return withUnsafeBytes(of: nanoseconds << UInt64(TAP_TIME_SHIFT)) { [UInt8]($0) }
    }

    /// - Returns: with a cost of 0 where there is no limit.
    static func limit(_ rate: RateLimit?) -> tap_limit {
        var limit = tap_limit()
        guard let rate, rate.perSecond > 0 else { return limit }
        let unitsPerSecond: Double
        let least: UInt64
        switch rate.unit {
        case .bitsPerSecond: (unitsPerSecond, least) = (Double(rate.perSecond) / 8, leastBytes)
        case .packetsPerSecond: (unitsPerSecond, least, limit.is_packets) = (Double(rate.perSecond), leastPackets, 1)
        }
        let time = 1e9 * Double(1 << TAP_TIME_SHIFT) / unitsPerSecond
        while limit.shift < 32, time * Double(UInt64(1) << (limit.shift + 1)) < Double(greatestCost) { limit.shift += 1 }
        limit.cost = max(1, UInt64((time * Double(UInt64(1) << limit.shift)).rounded()))
        let burst = rate.burst ?? max(least, UInt64(unitsPerSecond / 20))
        limit.depth = UInt64(min(time * Double(burst), 0x1p62).rounded())
        return limit
    }
}

extension tap_limit {
    static func != (one: tap_limit, other: tap_limit) -> Bool {
        (one.cost, one.depth, one.shift, one.is_packets) != (other.cost, other.depth, other.shift, other.is_packets)
    }
}
