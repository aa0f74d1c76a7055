// SPDX-License-Identifier: LGPL-2.1-or-later

/// Why something is not as it is desired: a stable code, what it is about, what happened and what to do.
///
/// Thrown by whatever does I/O for a tap, and carried unchanged into the status document, the log and the hook's answer, so that all
/// three say the same. The parts are kept apart, so that a reader who shows the subject anyway leaves it out without cutting text.
/// The parts may hold names as libvirt has them: printed, they go through `printable`.
public struct Failure: Error, Hashable, Sendable {
    /// The stable code.
    public var reason: Reason
    /// What has failed, such as `destination ids` or `tap "span" of web1 on vnet3`; `nil`: the detail says it.
    public var subject: String?
    /// What happened: errno, limits, both numbers.
    public var detail: String
    /// What to do about it, a clause without a full stop; `nil`: the detail says it, or there is nothing to do.
    public var advice: String?

    /// - Parameters:
    ///   - reason: the stable code.
    ///   - detail: what happened.
    ///   - advice: what to do about it.
    ///   - subject: what has failed.
    public init(_ reason: Reason, _ detail: String, advice: String? = nil, about subject: String? = nil) {
        self.reason = reason
        self.subject = subject
        self.detail = detail
        self.advice = advice
    }

    /// The whole sentence, for the log, the hook's answer and `message` of the status document: `subject: detail; advice`.
    public var message: String { (subject.map { "\($0): " } ?? "") + explanation }

    /// The sentence without its subject, for a place where the subject already stands.
    public var explanation: String { detail + (advice.map { "; \($0)" } ?? "") }

    /// The same failure of something that is named here. A failure that has a subject keeps it as part of the detail.
    public func about(_ subject: String) -> Failure {
        Failure(reason, self.subject.map { "\($0): \(detail)" } ?? detail, advice: advice, about: subject)
    }

    /// The state of what has failed so.
    public var state: TapState { reason.state ?? .failed }

    static let switchedOff = Failure(.disabledByMetadata, "switched off by enabled=\"no\" in the domain's metadata")
}

extension Failure: CustomStringConvertible {
    public var description: String { "\(reason.rawValue): \(message)" }
}

/// The stable codes that say why a tap is not active, or what to know about one that is.
///
/// Operators' scripts match these strings: a code is never renamed and never used for something else.
/// docs/reference/reasons.md explains each; a test compares the two.
public enum Reason: String, CaseIterable, Codable, Sendable {
    case invalidMetadata = "invalid-metadata"
    case duplicateName = "duplicate-name"
    case invalidFilter = "invalid-filter"
    case filterPending = "filter-pending"
    case tooManyTaps = "too-many-taps"
    case noSuchDestination = "no-such-destination"
    case inlineDestinationDenied = "inline-destination-denied"
    case destinationNotAllowed = "destination-not-allowed"
    case destinationUnsafe = "destination-unsafe"
    case hostListens = "host-listens"
    case destinationLoop = "destination-loop"
    case destinationDown = "destination-down"
    case neighbourUnreachable = "neighbour-unreachable"
    case defaultRoute = "default-route"
    case mtuTooSmall = "mtu-too-small"
    case noMatchingInterface = "no-matching-interface"
    case interfaceTypeUnsupported = "interface-type-unsupported"
    case deviceNotOwned = "device-not-owned"
    case deviceGone = "device-gone"
    case qdiscConflict = "qdisc-conflict"
    case kernelTooOld = "kernel-too-old"
    case attachFailed = "attach-failed"
    case detachedRepeatedly = "detached-repeatedly"
    case domainNotRunning = "domain-not-running"
    case nextStart = "next-start"
    case disabledByHost = "disabled-by-host"
    case disabledByMetadata = "disabled-by-metadata"
    case notImplemented = "not-implemented"
    case filterTooLarge = "filter-too-large"
    case destinationElsewhere = "destination-elsewhere"
    case destinationOverloaded = "destination-overloaded"
    case bpffsNotMounted = "bpffs-not-mounted"
    case permissionDenied = "permission-denied"
    case libvirtDisconnected = "libvirt-disconnected"
    case hookMissing = "hook-missing"
    case hookNotCalled = "hook-not-called"
    case notFirst = "not-first"
    case configStale = "config-stale"
    case definitionDiffers = "definition-differs"
    case configInvalid = "config-invalid"
    case statusSocketMissing = "status-socket-missing"
    case restartNeeded = "restart-needed"
    case foreignMark = "foreign-mark"
    case deviceChanged = "device-changed"

    /// The state that a tap or an interface has for this reason; `nil` for what is only ever a warning.
    ///
    /// `pending` is for what ends by itself in the ordinary course of things, `denied` for what a rule of the host
    /// forbids, `unsupported` for what this host cannot do, `failed` for all else that keeps copies from arriving.
    public var state: TapState? {
        switch self {
        case .hostListens: nil
        case .filterPending, .domainNotRunning, .nextStart, .deviceGone, .libvirtDisconnected: .pending
        case .tooManyTaps, .inlineDestinationDenied, .destinationNotAllowed, .destinationUnsafe, .destinationLoop, .deviceNotOwned: .denied
        case .interfaceTypeUnsupported, .kernelTooOld: .unsupported
        case .disabledByHost, .disabledByMetadata: .disabled
        case .hookMissing, .hookNotCalled, .notFirst, .configStale, .definitionDiffers, .statusSocketMissing, .restartNeeded, .foreignMark,
            .deviceChanged:
            nil
        case .invalidMetadata, .duplicateName, .invalidFilter, .noSuchDestination, .destinationDown, .neighbourUnreachable,
            .defaultRoute, .mtuTooSmall, .noMatchingInterface, .qdiscConflict, .attachFailed, .detachedRepeatedly, .notImplemented,
            .filterTooLarge, .destinationElsewhere, .destinationOverloaded, .bpffsNotMounted, .permissionDenied, .configInvalid:
            .failed
        }
    }
}

extension Reason {
    /// Whether it tells of the host or of the moment, and not of what the tap or the destination is: it may end, and copies begin,
    /// without a change of the metadata or of a `<destination>`.
    public var isPassing: Bool {
        switch self {
        case .hostListens, .destinationDown, .neighbourUnreachable, .defaultRoute, .destinationElsewhere, .destinationOverloaded,
            .mtuTooSmall,
            .deviceGone,
            .domainNotRunning, .nextStart, .disabledByHost, .disabledByMetadata, .libvirtDisconnected, .bpffsNotMounted, .permissionDenied,
            .attachFailed, .qdiscConflict, .detachedRepeatedly, .filterPending, .hookMissing, .hookNotCalled, .notFirst, .configStale,
            .definitionDiffers,
            .configInvalid, .statusSocketMissing, .restartNeeded, .foreignMark, .deviceChanged:
            true
        case .invalidMetadata, .duplicateName, .invalidFilter, .tooManyTaps, .noSuchDestination, .inlineDestinationDenied,
            .destinationNotAllowed, .destinationUnsafe, .destinationLoop, .noMatchingInterface, .interfaceTypeUnsupported, .deviceNotOwned,
            .kernelTooOld, .notImplemented, .filterTooLarge:
            false
        }
    }

    /// What it says where a filter was to be compiled: `true`: something of the expression, for good; `false`: that nothing is known of
    /// the expression yet; `nil`: it has nothing to do with that.
    public var isOfFilterExpression: Bool? {
        switch self {
        case .invalidFilter, .filterTooLarge: true
        // The last two are this host's.
        case .filterPending, .permissionDenied, .attachFailed: false
        case .invalidMetadata, .duplicateName, .tooManyTaps, .noSuchDestination, .inlineDestinationDenied, .destinationNotAllowed,
            .destinationUnsafe, .hostListens, .destinationLoop, .destinationDown, .neighbourUnreachable, .defaultRoute, .mtuTooSmall,
            .noMatchingInterface,
            .interfaceTypeUnsupported, .deviceNotOwned, .deviceGone, .qdiscConflict, .kernelTooOld, .detachedRepeatedly, .domainNotRunning,
            .nextStart, .disabledByHost, .disabledByMetadata, .notImplemented, .destinationElsewhere, .destinationOverloaded,
            .bpffsNotMounted, .libvirtDisconnected, .hookMissing, .hookNotCalled, .notFirst, .configStale, .definitionDiffers,
            .configInvalid,
            .statusSocketMissing, .restartNeeded, .foreignMark, .deviceChanged:
            nil
        }
    }

    /// How long a tap of a running domain may be pending for this reason before `status --check` takes it for a problem: seconds;
    /// `nil`: for as long as it likes, since it is as somebody wants it.
    ///
    /// What passes by itself has passed by then in the ordinary course of things: a device is made, a program attached, a filter
    /// compiled. libvirt's daemon may take longer to restart. All that is not pending is a problem at once: what would be copied
    /// meanwhile is lost.
    public var patience: Int64? {
        switch self {
        case .deviceGone, .attachFailed, .filterPending: 10
        case .libvirtDisconnected: 60
        case .domainNotRunning, .nextStart, .disabledByHost, .disabledByMetadata: nil
        case .invalidMetadata, .duplicateName, .invalidFilter, .tooManyTaps, .noSuchDestination, .inlineDestinationDenied,
            .destinationNotAllowed, .destinationUnsafe, .destinationLoop, .destinationDown, .neighbourUnreachable, .defaultRoute,
            .mtuTooSmall,
            .noMatchingInterface, .interfaceTypeUnsupported, .deviceNotOwned, .qdiscConflict, .kernelTooOld, .detachedRepeatedly,
            .notImplemented, .filterTooLarge, .destinationElsewhere, .destinationOverloaded, .bpffsNotMounted, .permissionDenied,
            .hookMissing, .hookNotCalled, .notFirst, .configStale, .definitionDiffers, .configInvalid, .statusSocketMissing, .restartNeeded,
            .foreignMark, .hostListens, .deviceChanged:
            0
        }
    }
}

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
