// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// The rule of `status --check`.
enum StatusHealth {
    /// Seconds that a tap of a running domain may wait.
    static let patience: Int64 = 60

    /// Whether any tap does not do what it is there for, or none can be placed for want of a configuration.
    static func isUnhealthy(_ document: StatusDocument, at now: Timestamp) -> Bool {
        if document.daemon.running, document.config.stale, document.config.loaded == nil { return true }
        return document.taps.contains { tap in
            switch tap.state {
            case .failed, .denied, .degraded, .unsupported: true
            case .pending: tap.running != false && tap.stateSince.map { now.seconds - $0.seconds > patience } ?? false
            case .active, .disabled: false
            }
        }
    }
}
