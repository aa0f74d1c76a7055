// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import TapModel

/// How long before, or after, a guest began to run its taps were in place: for the log.
extension Reconciler {
    /// Measures the gap of a domain that has just been seen to start, if it has taps.
    func noteArrival(of uuid: DomainUUID) {
        guard !attachments.of(uuid).isEmpty else { return }
        if let lead = arrivals.placed(uuid, at: clock.monotonic()) { report(lead, uuid) }
    }

    func report(_ lead: Double, _ uuid: DomainUUID) {
        let milliseconds = Int((abs(lead) * 1_000).rounded())
        if lead >= 0 {
            logger.notice("\(label(uuid)): taps in place \(milliseconds) ms before the guest ran: no gap")
        } else {
            logger.warning("\(label(uuid)): the guest ran \(milliseconds) ms before its taps were in place; the hook would close this gap")
        }
    }
}
