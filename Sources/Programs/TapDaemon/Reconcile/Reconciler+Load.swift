// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// The host's `<limit>`.
extension Reconciler {
    /// Looks how much was copied since the last time, and stops and resumes destinations as the limit asks for.
    func measureLoad() {
        let before = breaker.failures
        do throws(Failure) {
            let limit = configuration.value.limit
            breaker.update(with: limit == nil ? [] : try dataplane.destinations(), limit: limit, now: clock.monotonic())
        } catch {
            // Where nothing can be read nothing can be stopped either; what is stopped stays so.
            noteKernelTrouble(error)
        }
        guard breaker.failures != before else { return }
        changes += 1
        refreshDestinations()
        refreshInlineDestinations()
    }
}
