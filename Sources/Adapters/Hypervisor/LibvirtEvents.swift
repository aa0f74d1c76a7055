// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibvirt
import Glibc
import Synchronization
import TapModel

// libvirt calls these callbacks on the thread of its event loop. They are global functions and not closures: a closure that is written
// in an actor's isolation checks for that actor's executor and traps on libvirt's thread. They copy what they need and return; a
// call into libvirt from here would wait for the loop that is calling.

/// What the callbacks of one connection need. libvirt holds one reference per kind of event.
final class EventContext: Sendable {
    let events: AsyncStream<HypervisorEvent>.Continuation
    /// Called with the reason when the connection is lost; several times when several of its clients notice.
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

    /// - Parameter detail: of the event `VIR_DOMAIN_EVENT_STARTED`. A domain that wakes up (`wakeup`) was not started, since it never stopped.
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
    context?.changed(domain, lifecycleText(event: event, detail: detail))
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

/// The receivers of close callbacks, by number.
///
/// libvirt gets the number and no pointer, since it may call back after the connection was closed here. Unregistering the callback is a
/// call to libvirt's daemon, which fails when the daemon has ended, and then the callback stays registered.
enum CloseListeners {
    private static let state = Mutex((last: 0, contexts: [Int: EventContext]()))

    /// - Returns: the number, never used before.
    static func add(_ context: EventContext) -> Int {
        state.withLock {
            $0.last += 1
            $0.contexts[$0.last] = context
            return $0.last
        }
    }

    /// Ignores callbacks for this number from now on.
    static func remove(_ number: Int) { state.withLock { $0.contexts[number] = nil } }

    static func context(_ number: Int) -> EventContext? { state.withLock { $0.contexts[number] } }
}

/// libvirt's event loop: one per process, on a thread of its own, from the first connection to the end of the process.
///
/// It is never stopped. libvirt releases the contexts of callbacks from this loop, later than the deregistration, so a stopped loop
/// would leak them or leave them dangling. The loop costs nothing while nothing happens.
enum EventLoop {
    /// Starts the loop if it does not run yet. To be called before every opening of a connection: libvirt supports keepalive and events
    /// only on connections that were opened after the loop was registered.
    static func ensureRunning() throws {
        try started.get()
    }

    /// How often the loop wakes up without an event, so that it cannot block for ever.
    private static let heartbeat: Int32 = 10_000  // milliseconds

    private static let started: Result<Void, any Error> = Result {
        // Without an error function libvirt prints every error to standard error.
        virSetErrorFunc(nil, ignoreError)
        guard virInitialize() == 0 else { throw LibvirtError.last("start libvirt's library") }
        guard virEventRegisterDefaultImpl() == 0 else { throw LibvirtError.last("register libvirt's event loop") }
        guard virEventAddTimeout(heartbeat, heartbeatPassed, nil, nil) >= 0 else {
            throw LibvirtError.last("add a timer to libvirt's loop")
        }
        try startThread(runForEver)
    }
}

private func runForEver() {
    while true {
        // An error here repeats at once, and must not use a whole processor.
        if virEventRunDefaultImpl() < 0 { usleep(100_000) }
    }
}

private func heartbeatPassed(_ timer: Int32, _ opaque: UnsafeMutableRawPointer?) {}

private func ignoreError(_ opaque: UnsafeMutableRawPointer?, _ error: virErrorPtr?) {}

/// Names a lifecycle event and its detail, such as `started booted`, with the words of `virsh event`.
///
/// Events that are newer than this table are given as numbers.
func lifecycleText(event: Int32, detail: Int32) -> String {
    guard let entry = lifecycleEvents.element(event) else { return "lifecycle \(event) \(detail)" }
    return "\(entry.name) \(entry.details.element(detail) ?? String(detail))"
}

/// By the numbers of `virDomainEventType` and of the detail enumeration that belongs to each (libvirt/libvirt-domain.h).
private let lifecycleEvents: [(name: String, details: [String])] = [
    ("defined", ["added", "updated", "renamed", "from-snapshot"]),
    ("undefined", ["removed", "renamed"]),
    ("started", ["booted", "migrated", "restored", "from-snapshot", "wakeup"]),
    ("suspended", ["paused", "migrated", "ioerror", "watchdog", "restored", "from-snapshot", "api-error", "postcopy", "postcopy-failed"]),
    ("resumed", ["unpaused", "migrated", "from-snapshot", "postcopy", "postcopy-failed"]),
    ("stopped", ["shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from-snapshot"]),
    ("shutdown", ["finished", "guest", "host"]),
    ("pmsuspended", ["memory", "disk"]),
    ("crashed", ["panicked", "crashloaded"]),
]

extension Array {
    fileprivate func element(_ index: Int32) -> Element? {
        indices.contains(Int(index)) ? self[Int(index)] : nil
    }
}
