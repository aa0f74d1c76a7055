// SPDX-License-Identifier: LGPL-2.1-or-later
import CLibvirt
import TapModel

// What libvirt calls, on the thread of its event loop. These are functions of the file and not closures: a closure written
// where an actor isolates it checks for that actor's executor and traps on libvirt's thread. They copy out and return; a
// call into libvirt from here would wait for the loop that it stands in.

/// What the callbacks of one connection need. libvirt holds one reference for each kind of event.
final class EventContext: Sendable {
    let events: AsyncStream<HypervisorEvent>.Continuation
    /// Told why when the connection is gone; several times when several of its clients notice.
    let closed: @Sendable (String) -> Void

    init(events: AsyncStream<HypervisorEvent>.Continuation, closed: @escaping @Sendable (String) -> Void) {
        self.events = events
        self.closed = closed
    }

    fileprivate static func at(_ opaque: UnsafeMutableRawPointer?) -> EventContext? {
        opaque.map { Unmanaged<EventContext>.fromOpaque($0).takeUnretainedValue() }
    }

    fileprivate func changed(_ domain: virDomainPtr?, _ what: String) {
        guard let domain, let uuid = DomainReader.uuid(domain) else { return }
        events.yield(.domainChanged(uuid, what: what))
    }

    /// - Parameter detail: of the event `VIR_DOMAIN_EVENT_STARTED`. One that wakes up (`wakeup`) was not started: it never stopped.
    fileprivate func started(_ domain: virDomainPtr?, _ detail: Int32) {
        guard let domain, let uuid = DomainReader.uuid(domain) else { return }
        switch virDomainEventStartedDetailType(UInt32(bitPattern: detail)) {
        case VIR_DOMAIN_EVENT_STARTED_BOOTED, VIR_DOMAIN_EVENT_STARTED_RESTORED, VIR_DOMAIN_EVENT_STARTED_FROM_SNAPSHOT:
            events.yield(.started(uuid, comesFromElsewhere: false))
        case VIR_DOMAIN_EVENT_STARTED_MIGRATED: events.yield(.started(uuid, comesFromElsewhere: true))
        default: break
        }
    }

    fileprivate func written(_ domain: virDomainPtr?, _ namespace: String) {
        guard let domain, let uuid = DomainReader.uuid(domain) else { return }
        events.yield(.metadataWritten(uuid, namespace: namespace))
    }

    fileprivate func runs(_ domain: virDomainPtr?) {
        guard let domain, let uuid = DomainReader.uuid(domain) else { return }
        events.yield(.guestRuns(uuid))
    }
}

func lifecycleHappened(
    _ connection: virConnectPtr?, _ domain: virDomainPtr?, _ event: Int32, _ detail: Int32, _ opaque: UnsafeMutableRawPointer?
) -> Int32 {
    let context = EventContext.at(opaque)
    if event == Int32(VIR_DOMAIN_EVENT_RESUMED.rawValue) { context?.runs(domain) }
    if event == Int32(VIR_DOMAIN_EVENT_STARTED.rawValue) { context?.started(domain, detail) }
    context?.changed(domain, lifecycleWords(event: event, detail: detail))
    return 0
}

func metadataChanged(
    _ connection: virConnectPtr?, _ domain: virDomainPtr?, _ type: Int32, _ uri: UnsafePointer<CChar>?,
    _ opaque: UnsafeMutableRawPointer?
) {
    let what =
        switch virDomainMetadataType(UInt32(bitPattern: type)) {
        case VIR_DOMAIN_METADATA_DESCRIPTION: "description-changed"
        case VIR_DOMAIN_METADATA_TITLE: "title-changed"
        default: "metadata-changed \(uri.map { String(cString: $0) } ?? "")"
        }
    let context = EventContext.at(opaque)
    if virDomainMetadataType(UInt32(bitPattern: type)) == VIR_DOMAIN_METADATA_ELEMENT, let uri {
        context?.written(domain, String(cString: uri))
    }
    context?.changed(domain, what)
}

func deviceAdded(
    _ connection: virConnectPtr?, _ domain: virDomainPtr?, _ alias: UnsafePointer<CChar>?, _ opaque: UnsafeMutableRawPointer?
) {
    EventContext.at(opaque)?.changed(domain, "device-added \(alias.map { String(cString: $0) } ?? "")")
}

func deviceRemoved(
    _ connection: virConnectPtr?, _ domain: virDomainPtr?, _ alias: UnsafePointer<CChar>?, _ opaque: UnsafeMutableRawPointer?
) {
    EventContext.at(opaque)?.changed(domain, "device-removed \(alias.map { String(cString: $0) } ?? "")")
}

func connectionClosed(_ connection: virConnectPtr?, _ reason: Int32, _ opaque: UnsafeMutableRawPointer?) {
    let why =
        switch virConnectCloseReason(UInt32(bitPattern: reason)) {
        case VIR_CONNECT_CLOSE_REASON_EOF: "libvirt's daemon closed the connection, as when it stops or dies"
        case VIR_CONNECT_CLOSE_REASON_KEEPALIVE: "libvirt's daemon no longer answers keepalive messages"
        case VIR_CONNECT_CLOSE_REASON_CLIENT: "the connection to libvirt was closed on this side"
        default: "an input or output error on the connection to libvirt"
        }
    CloseListeners.context(Int(bitPattern: opaque))?.closed(why)
}

func releaseContext(_ opaque: UnsafeMutableRawPointer?) {
    guard let opaque else { return }
    Unmanaged<EventContext>.fromOpaque(opaque).release()
}
