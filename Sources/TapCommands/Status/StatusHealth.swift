// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// The rule of `status --check`.
enum StatusHealth {
    /// Seconds that a tap of a running domain may wait.
    static let patience: Int64 = 60

    /// Whether the daemon has not known for so long what taps there are that nobody should take it for healthy.
    static func isBlind(_ daemon: StatusDocument.Daemon, at now: Timestamp) -> Bool {
        daemon.complete == false && daemon.since.map { now.seconds - $0.seconds > patience } ?? false
    }

    /// Whether any tap does not do what it is there for, or none can be placed for want of a configuration.
    static func isUnhealthy(_ document: StatusDocument, at now: Timestamp) -> Bool {
        if document.daemon.running, document.config.stale, document.config.loaded == nil { return true }
        if isBlind(document.daemon, at: now) { return true }
        return document.taps.contains { tap in
            switch tap.state {
            case .failed, .denied, .degraded, .unsupported: true
            case .pending: tap.running != false && tap.stateSince.map { now.seconds - $0.seconds > patience } ?? false
            case .active, .disabled: false
            }
        }
    }
}
