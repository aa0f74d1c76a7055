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
