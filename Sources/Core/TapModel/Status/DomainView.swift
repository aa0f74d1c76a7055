// SPDX-License-Identifier: LGPL-2.1-or-later

/// What the daemon knows of one domain, for status.
public struct DomainView: Sendable {
    public var uuid: DomainUUID
    public var name: String
    public var isRunning: Bool
    /// What runs; `nil` when the domain does not run or its XML cannot be read.
    public var live: DomainDefinition?
    /// What the next start will use; `nil` for a transient domain.
    public var persistent: DomainDefinition?
    /// Set when the XML cannot be read at all.
    public var unreadable: Failure?
    /// One for each of `live.taps`.
    public var verdicts: [TapVerdict]
    /// When it was started without a call of the hook, which would have kept it from running without its required taps; `nil`: that is not
    /// known of it.
    public var uncalledStart: Timestamp?

    public init(
        uuid: DomainUUID, name: String, isRunning: Bool, live: DomainDefinition? = nil, persistent: DomainDefinition? = nil,
        unreadable: Failure? = nil, verdicts: [TapVerdict] = []
    ) {
        self.uuid = uuid
        self.name = name
        self.isRunning = isRunning
        self.live = live
        self.persistent = persistent
        self.unreadable = unreadable
        self.verdicts = verdicts
    }
}
