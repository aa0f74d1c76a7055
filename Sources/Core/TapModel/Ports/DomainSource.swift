// SPDX-License-Identifier: LGPL-2.1-or-later

/// Where domains come from: libvirt, or a stand-in in tests.
///
/// Implementations never block the caller's thread pool: calls into libvirt run on a thread of their own. A thrown
/// error means "not known" and never "not there".
public protocol DomainSource: Sendable {
    /// Events since the source was started, in order, buffered without bound (one small value each).
    /// Has one consumer.
    var events: AsyncStream<HypervisorEvent> { get }

    /// Every domain, running or not.
    /// - Throws: `Failure` with `libvirt-disconnected`, or with libvirt's own words.
    func domains() async throws -> [DomainSnapshot]

    /// One domain, or `nil` when libvirt says positively that there is none with this UUID.
    /// - Throws: as `domains()`.
    func domain(_ uuid: DomainUUID) async throws -> DomainSnapshot?
}

/// One domain as libvirt reported it at one moment; the XML is not interpreted yet.
public struct DomainSnapshot: Sendable, Equatable {
    /// The largest XML of a domain that is read, in bytes: four times the longest string in libvirt's protocol (REMOTE_STRING_MAX in
    /// src/remote/remote_protocol.x, 4 MiB).
    public static let maximumXML = 16 << 20

    public var uuid: DomainUUID
    public var name: String
    /// Whether libvirt says that the domain is active (running, paused, starting, shutting down).
    public var isRunning: Bool
    /// Whether libvirt says that it was shut off by migrating to another host.
    public var hasMigratedAway: Bool
    /// Whether there is a definition that outlives this run.
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

/// An event from the hypervisor. It carries no state: it only says what to read again.
public enum HypervisorEvent: Sendable, Equatable {
    /// A connection has been made and events are registered. What happened before is unknown, so everything has to be read.
    case connected(libvirtVersion: String)
    /// The connection is lost and is being made again. Says nothing about any domain.
    case disconnected(why: String)
    /// This domain has to be read again. `what` is for the log, such as `started booted` or `device-added net1`.
    case domainChanged(DomainUUID, what: String)
    /// This domain's guest runs from now on: booted, restored, arrived by migration, or resumed. Comes in addition to
    /// `domainChanged`, only for measuring.
    case guestRuns(DomainUUID)
    /// libvirt has started this domain here: it was booted, restored, reverted to a snapshot or migrated in (`comesFromElsewhere`). At each such
    /// start libvirt calls the hook first. Comes in addition to `domainChanged`.
    case started(DomainUUID, comesFromElsewhere: Bool)
    /// Somebody wrote or removed the metadata of this domain in a namespace, live or persistent. A new definition of the whole domain causes no
    /// such event. Comes in addition to `domainChanged`.
    case metadataWritten(DomainUUID, namespace: String)
}

/// The operations of libvirt's qemu hook that matter to virt-tap; a later libvirt may have others.
///
/// hooks/qemu calls virt-tap at those that concern the daemon. It has its own list of them, since it must be harmless without the binary.
public enum HookOperation: String, CaseIterable, Sendable {
    case prepare, start, started, stopped, release, migrate, restore, reconnect, attach

    /// Whether libvirt accepts a refusal while nothing runs yet. At `reconnect` a refusal would kill the guest, at `migrate` and `restore` it
    /// would abort them.
    public var isRefusable: Bool { self == .prepare || self == .start }

    /// Whether the daemon has anything to do, which it has not before the devices exist.
    public var concernsDaemon: Bool { hasDevices || self == .stopped || self == .release }

    /// Whether libvirt has to wait until the daemon is done: only before the guest runs. The other operations tell the daemon what it would
    /// find out by itself.
    public var waitsForDaemon: Bool { self == .start }

    /// Whether the domain's devices exist and stay.
    public var hasDevices: Bool { [.start, .started, .reconnect, .attach].contains(self) }
}
