// SPDX-License-Identifier: LGPL-2.1-or-later

/// Measures for each guest that begins to run here how long before, or after, its taps were in place.
///
/// A start is told by the hook or by libvirt's `started` event; that the guest runs by `resumed`, which comes before
/// `started` at a cold boot and long after it at the target of a migration. Times are seconds of a clock that does not
/// jump; those of events are when they arrived, some milliseconds after they happened.
public struct ArrivalLog: Sendable {
    /// A start whose guest did not run before is looked for this long; longer than the longest migration.
    static let patience = 86_400.0
    /// A guest that was seen to run so long ago did not run because of this start.
    static let recent = 30.0

    private struct Arrival {
        var began: Double
        var placed: Double
    }

    private var arrivals: [DomainUUID: Arrival] = [:]
    private var ran: [DomainUUID: Double] = [:]

    public init() {}

    /// Notes that the guest runs. - Returns: how many seconds its taps were in place by then, if it was waited for.
    public mutating func runs(_ domain: DomainUUID, at now: Double) -> Double? {
        ran = ran.filter { now - $0.value < Self.recent }
        ran[domain] = now
        guard let arrival = arrivals.removeValue(forKey: domain), now - arrival.began < Self.patience else { return nil }
        return now - arrival.placed
    }

    /// Notes that a domain that starts has its taps in place, for the first time in this run.
    /// - Returns: for how many seconds the guest ran without them (negative), if it was seen to run already.
    public mutating func placed(_ domain: DomainUUID, at now: Double) -> Double? {
        if let ran = ran.removeValue(forKey: domain), now - ran < Self.recent { return ran - now }
        arrivals[domain] = Arrival(began: now, placed: now)
        return nil
    }

    /// The domain stopped, or never started.
    public mutating func forget(_ domain: DomainUUID) {
        arrivals[domain] = nil
        ran[domain] = nil
    }
}
