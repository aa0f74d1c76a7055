// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

extension TappedHost {
    /// Waits until what a tap of a quiet guest's first interface counts as copied is what the host's device has counted,
    /// which was there before any tap.
    func everyFrameIsCounted(of guest: Guest, tap name: String = "ids") async throws {
        try await eventually("every frame of \(guest.name)'s device is counted as copied") {
            let interface = try await tap(name, of: guest.name)?.interfaces.first
            let counts = try await guest.deviceCounts()
            return interface?.outbound?.copied.packets == UInt64(counts.sent)
                && interface?.inbound?.copied.packets == UInt64(counts.received)
        }
    }
}
