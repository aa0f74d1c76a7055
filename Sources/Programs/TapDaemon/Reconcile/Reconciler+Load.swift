// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// The host's `<limit>`.
extension Reconciler {
    /// Looks how much was copied since the last time, and stops and resumes destinations as the limit asks for.
    func measureLoad() {
        do throws(Failure) {
            let limit = configuration.value.limit
            let records = limit == nil ? [] : try dataplane.destinations()
            guard destinations.measure(records, limit: limit, at: clock.monotonic()) else { return }
        } catch {
            // Where nothing can be read nothing can be stopped either; what is stopped stays so.
            return noteKernelTrouble(error)
        }
        refreshDestinations()
        refreshInlineDestinations()
    }
}
