// SPDX-License-Identifier: LGPL-2.1-or-later

/// One domain as libvirt reported it at one moment; the XML is not interpreted yet.
public struct DomainSnapshot: Sendable, Equatable {
    /// Bytes of one domain's XML that are read, wherever it comes from: four times what libvirt's protocol carries in one
    /// string (REMOTE_STRING_MAX in src/remote/remote_protocol.x, 4 MiB).
    public static let maximumXML = 16 << 20

    public var uuid: DomainUUID
    public var name: String
    /// Whether libvirt says that the domain is active (running, paused, starting, shutting down).
    public var isRunning: Bool
    /// Whether libvirt says that it was shut off by migrating to another host.
    public var hasMigratedAway: Bool
    /// Whether a definition is kept that outlives this run.
    public var isPersistent: Bool
    /// The XML of the active domain, with device names; empty when it is not running.
    public var liveXML: [UInt8]
    /// The XML the next start will use; `nil` for a transient domain.
    public var persistentXML: [UInt8]?

    public init(
        uuid: DomainUUID, name: String, isRunning: Bool, hasMigratedAway: Bool = false, isPersistent: Bool, liveXML: [UInt8],
        persistentXML: [UInt8]?
    ) {
        self.uuid = uuid
        self.name = name
        self.isRunning = isRunning
        self.hasMigratedAway = hasMigratedAway
        self.isPersistent = isPersistent
        self.liveXML = liveXML
        self.persistentXML = persistentXML
    }
}
