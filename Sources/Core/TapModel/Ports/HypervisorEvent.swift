// SPDX-License-Identifier: LGPL-2.1-or-later

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
