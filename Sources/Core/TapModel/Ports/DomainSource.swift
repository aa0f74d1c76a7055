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

/// What the hypervisor has to say without being asked. An event carries no state: it only says where to look again.
public enum HypervisorEvent: Sendable, Equatable {
    /// A connection stands and events are registered: whatever happened before is unknown, so look at everything.
    case connected(libvirtVersion: String)
    /// The connection is gone; reconnecting goes on by itself. Says nothing about any domain.
    case disconnected(why: String)
    /// Look at this domain again. `what` is for the log, such as `started booted` or `device-added net1`.
    case domainChanged(DomainUUID, what: String)
    /// This domain's guest runs from now on: booted, restored, arrived by migration, or resumed. Comes beside
    /// `domainChanged`, and is for measuring only.
    case guestRuns(DomainUUID)
    /// libvirt has started this domain here, booted, restored, reverted to a snapshot or come by migration (`comesFromElsewhere`): each is
    /// a start at which it calls the hook first. Comes beside `domainChanged`.
    case started(DomainUUID, comesFromElsewhere: Bool)
    /// Somebody wrote or removed the metadata of this domain in a namespace, live or persistent; who writes the domain's whole XML anew
    /// causes no such event. Comes beside `domainChanged`.
    case metadataWritten(DomainUUID, namespace: String)
}

/// The operations at which libvirt calls its qemu hook and virt-tap has anything to do; a later libvirt may have others.
///
/// hooks/qemu calls virt-tap at those that concern the daemon, and has a list of its own of them, since it must do no harm without its
/// binary.
public enum HookOperation: String, CaseIterable, Sendable {
    case prepare, start, started, stopped, release, migrate, restore, reconnect, attach

    /// Whether libvirt takes a refusal and nothing runs yet. At `reconnect` it would kill the guest, at `migrate` and
    /// `restore` it would end those.
    public var isRefusable: Bool { self == .prepare || self == .start }

    /// Whether the daemon has anything to do: before the devices exist it has not.
    public var concernsDaemon: Bool { hasDevices || self == .stopped || self == .release }

    /// Whether libvirt is kept waiting until the daemon is done: only before the guest runs. All others tell it something
    /// that it would find out by itself.
    public var waitsForDaemon: Bool { self == .start }

    /// Whether the domain's devices exist and are to stay.
    public var hasDevices: Bool { [.start, .started, .reconnect, .attach].contains(self) }
}
