// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// A tap's state and since when it has been in it.
struct TapStateRecord: Equatable {
    var state: TapState
    var reason: Reason?
    var isRunning: Bool
    var since: Timestamp

    /// What a tap is found to be now. One that waits for another thing than before has waited all the time; but what waited for its
    /// domain to start has waited for nothing that was to come by itself.
    init(_ tap: TapStatus, after before: TapStateRecord?, at now: Timestamp) {
        state = tap.state
        reason = tap.reason
        isRunning = tap.running == true
        let waits = before?.reason.map { $0.patience != nil } ?? true
        if let before, waits, before.state == tap.state, before.isRunning == (tap.running == true) {
            since = before.since
        } else {
            since = now
        }
    }
}

/// One entry of a domain's taps, for what is remembered between two looks at it.
struct TapOccurrence: Hashable {
    var key: TapKey
    /// Counts the domain's taps of that name: a `duplicate-name` has its twin's.
    var number: Int

    /// Those of a document's taps, in its order.
    static func of(_ taps: [TapStatus]) -> [TapOccurrence] {
        var counts: [TapKey: Int] = [:]
        return taps.map { tap in
            let key = TapKey(domain: tap.uuid, origin: tap.origin, name: tap.name)
            defer { counts[key, default: 0] += 1 }
            return TapOccurrence(key: key, number: counts[key, default: 0])
        }
    }
}
