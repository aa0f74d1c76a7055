// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

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

    /// How many frames of a quiet guest's first device its tap has not seen: those from before it was there. Another number
    /// later says that it was not there all the while.
    func unseen(of guest: Guest, tap name: String = "ids") async throws -> [Int] {
        var last: [Int] = []
        try await eventually("\(guest.name) is quiet") {
            let before = try await guest.deviceCounts()
            let sent = try await packets(of: guest, "outbound", tap: name)["seen"] ?? 0
            let received = try await packets(of: guest, "inbound", tap: name)["seen"] ?? 0
            let now = [before.sent - sent, before.received - received]
            defer { last = now }
            let after = try await guest.deviceCounts()
            return last == now && after == before
        }
        return last
    }

    /// What `virt-tap status --json` says of a tap's first interface in one direction: packets, by the counter's name. What
    /// became of them adds up to what was seen, in packets and in bytes.
    func packets(
        of guest: Guest, _ direction: String, tap name: String = "ids", sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> [String: Int] {
        let result = try await virtTap("status", "--json", guest.name)
        let document = try JSONSerialization.jsonObject(with: result.output) as? [String: Any]
        let tap = (document?["taps"] as? [[String: Any]])?.first { $0["name"] as? String == name }
        let interface = (tap?["interfaces"] as? [[String: Any]])?.first
        let counters = try #require(interface?[direction] as? [String: [String: Int]], "\(result.text)", sourceLocation: sourceLocation)
        for unit in ["packets", "bytes"] {
            // Copies of copies are not what it is there for.
            let parts = counters.filter { $0.key != "seen" && $0.key != "marked" }.compactMap { $0.value[unit] }
            #expect(counters["seen"]?[unit] == parts.reduce(0, +), "\(counters)", sourceLocation: sourceLocation)
        }
        return counters.compactMapValues { $0["packets"] }
    }
}

extension [CapturedFrame] {
    /// Whether in no stretch of them more came than a rate and its burst let through.
    ///
    /// Times are those of their arrival, which may be some ms after their copying when the machine is busy: what was held
    /// up comes closer together.
    func keep(to perSecond: Double, burst: Int, tolerance: Double = 0.05) -> Bool {
        indices.allSatisfy { first in
            self[first...].enumerated().allSatisfy { count, frame in
                Double(count + 1) <= Double(burst) + 1 + (frame.time - self[first].time + tolerance) * perSecond
            }
        }
    }
}
