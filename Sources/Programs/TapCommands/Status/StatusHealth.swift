// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// The rule of `status --check`.
enum StatusHealth {
    /// Seconds that a daemon may take until libvirt has told it which domains there are.
    static let patience: Int64 = 60

    /// Whether the daemon has not known for so long what taps there are that nobody should take it for healthy.
    static func isBlind(_ daemon: StatusDocument.Daemon, at now: Timestamp) -> Bool {
        daemon.complete == false && daemon.since.map { now.seconds - $0.seconds > patience } ?? false
    }

    /// Whether any tap does not do what it is there for, or none can be placed for want of a configuration.
    static func isUnhealthy(_ document: StatusDocument, at now: Timestamp) -> Bool {
        if document.daemon.running, document.config.stale, document.config.loaded == nil { return true }
        if isBlind(document.daemon, at: now) { return true }
        return document.taps.contains { isUnhealthy($0, at: now) }
    }

    private static func isUnhealthy(_ tap: TapStatus, at now: Timestamp) -> Bool {
        switch tap.state {
        case .active, .disabled: return false
        case .failed, .denied, .unsupported: return true
        case .pending: return tap.running != false && outlasts(tap.reason, tap, at: now)
        case .degraded:
            // One that only waits for an interface, which was added a moment ago, is in no other case than one that waits for all.
            let others = tap.interfaces.filter { $0.state != .active }
            guard !others.isEmpty, others.allSatisfy({ $0.state == .pending }) else { return true }
            return others.contains { outlasts($0.reason, tap, at: now) }
        }
    }

    /// Whether a tap has waited longer than what it waits for takes to pass by itself.
    private static func outlasts(_ reason: Reason?, _ tap: TapStatus, at now: Timestamp) -> Bool {
        guard let patience = reason.map(\.patience) ?? patience, let since = tap.stateSince else { return false }
        return now.seconds - since.seconds > patience
    }
}
