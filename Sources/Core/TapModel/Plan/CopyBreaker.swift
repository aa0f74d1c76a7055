// SPDX-License-Identifier: LGPL-2.1-or-later

/// Enforces the host's `<limit>`: while all copies together exceed it, copying to the destination that has the most stops.
///
/// It compares what destinations have counted from one update to the next, as a leaky bucket: what exceeds the limit adds up, and what
/// stays below it is subtracted. When the sum exceeds the limit's `burst` (by default what the limit allows in one second), destinations
/// are stopped, the heaviest first, until the others stay below the limit.
///
/// A stopped destination is tried again as soon as what its taps would have sent fits below the limit, or else after a pause, since
/// stopped taps count more than they would send where they truncate or have a rate.
public struct CopyBreaker: Sendable {
    /// Why copying to a destination is stopped, and until when.
    private struct Stop {
        /// It is not tried again earlier, even if it would fit.
        var notBefore: Double
        /// It is tried again at this time, whatever the counters say.
        var until: Double
        var failure: Failure
    }

    private struct Trouble {
        /// How long the next stop lasts, in seconds.
        var pause: Double
        /// Without another stop until this time, the next stop has the first pause again.
        var until: Double
    }

    /// The time between two updates, in seconds.
    public static let interval = 1.0
    /// The shortest stop, the longest first stop and the longest stop, in seconds.
    static let leastPause = 3.0
    static let firstPause = 10.0
    static let longestPause = 320.0

    private var stops: [String: Stop] = [:]
    private var troubles: [String: Trouble] = [:]
    private var before: (time: Double, loads: [String: DestinationRecord])?
    private var limit: RateLimit?
    /// What exceeded the limit and has not been subtracted yet, in units of the limit.
    private var excess = 0.0

    public init() {}

    /// Why copying is stopped, by destination.
    public var failures: [String: Failure] { stops.mapValues(\.failure) }

    /// Evaluates what the destinations have counted until `now`, in seconds of a clock that does not jump.
    ///
    /// - Parameter limit: the limit in force; when it is `nil` or has changed, all stops end.
    public mutating func update(with records: [DestinationRecord], limit: RateLimit?, now: Double) {
        let loads = Dictionary(records.map { ($0.label, $0) }) { first, _ in first }
        let last = before
        before = (now, loads)
        guard let limit, limit == self.limit, let last else {
            self = CopyBreaker()
            self.limit = limit
            before = (now, loads)
            return
        }
        let seconds = now - last.time
        guard seconds > 0 else { return before = last }
        func rates(_ amount: (DestinationRecord) -> UInt64) -> [String: Double] {
            loads.mapValues { load in
                let (new, old) = (amount(load), last.loads[load.label].map(amount) ?? 0)
                // The slot has been reused for this destination: what it had counted before is not its own.
                return Double(new >= old ? new - old : 0) / seconds
            }
        }
        let most = Double(limit.perSecond)
        var sending = rates { $0.amount(in: limit.unit) }
        let wanted = rates { limit.unit == .bitsPerSecond ? $0.wanted.bytes &* 8 : $0.wanted.packets }
        var total = sending.values.reduce(0, +)
        stops = stops.filter { loads[$0.key] != nil }
        troubles = troubles.filter { loads[$0.key] != nil && ($0.value.until > now || stops[$0.key] != nil) }

        excess = max(0, excess + (total - most) * seconds)
        if excess > most.burst(of: limit) {
            excess = 0
            let all = total
            // A destination that was stopped during this interval may have sent before.
            sending = sending.filter { stops[$0.key] == nil }
            total = sending.values.reduce(0, +)
            for (label, rate) in sending.sorted(by: { ($0.value, $1.key) > ($1.value, $0.key) }) where total > most && rate > 0 {
                let (all, own) = (limit.unit.text(all), limit.unit.text(rate))
                stop(label, at: now, "\(all), over its <limit> of \(limit.text), \(own) of it to this destination")
                total -= rate
            }
            return
        }
        for (label, stop) in stops.sorted(by: { $0.value.until < $1.value.until }) {
            let fits = total + wanted[label, default: 0] <= 0.9 * most
            guard now >= stop.until || now >= stop.notBefore && fits else { continue }
            total += wanted[label, default: 0]
            stops[label] = nil
            if fits {
                troubles[label] = nil
            } else if let pause = troubles[label]?.pause {
                troubles[label]?.until = now + 2 * pause
            }
        }
    }

    private mutating func stop(_ label: String, at now: Double, _ why: String) {
        let pause = troubles[label]?.pause ?? Self.firstPause
        troubles[label] = Trouble(pause: min(2 * pause, Self.longestPause), until: .infinity)
        stops[label] = Stop(
            notBefore: now + Self.leastPause, until: now + pause,
            failure: Failure(
                .destinationOverloaded,
                "this host's copies came to \(why), so copying to it is stopped; it is tried again within \(Int(pause)) s",
                advice: "copy less (filter, sample, snaplen, rate), or raise the limit", about: "destination \(label)"))
    }
}

extension DestinationRecord {
    /// What has left for the destination, as a limit counts it: packets, or bits after truncation and before encapsulation. What a wire would
    /// have carried does not count: a guest can claim that one frame is 50,000 segments with long headers, and could stop everybody's copies.
    fileprivate func amount(in unit: RateLimit.Unit) -> UInt64 {
        switch unit {
        case .bitsPerSecond: given.bytes &* 8
        case .packetsPerSecond: given.packets
        }
    }
}

extension Double {
    /// How much may exceed a limit of this rate per second before it acts, in bits or packets.
    fileprivate func burst(of limit: RateLimit) -> Double {
        guard let burst = limit.burst else { return self }
        return limit.unit == .bitsPerSecond ? 8 * Double(burst) : Double(burst)
    }
}
