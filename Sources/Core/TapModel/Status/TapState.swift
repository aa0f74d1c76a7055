// SPDX-License-Identifier: LGPL-2.1-or-later

/// How a tap, one of its interfaces, or a destination fares.
public enum TapState: String, CaseIterable, Codable, Sendable {
    /// Attached, with a destination that, as far as this host can see, takes the copies.
    case active
    /// Some of the tap's interfaces are active and some are not; or what was attached before goes on, since it could not be exchanged
    /// for what is asked for now.
    case degraded
    /// Waits for something that comes in the ordinary course of things.
    case pending
    /// Something keeps copies from arriving that somebody has to mend.
    case failed
    /// This host, or this kind of interface, cannot be tapped.
    case unsupported
    /// A rule of this host forbids it.
    case denied
    /// Switched off, in the metadata or on the host.
    case disabled

    /// The most severe first: what a tap shows when none of its interfaces is active.
    static let bySeverity: [TapState] = [.failed, .denied, .unsupported, .pending, .disabled, .degraded]
}
