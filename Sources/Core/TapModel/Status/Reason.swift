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
    /// What happened: errno, limits, both numbers. Not the status document's `detail`, which is `explanation`.
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

    /// The sentence without its subject, for a place where the subject already stands; `detail` of the status document.
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

    /// What a reason means for those who decide by it.
    private struct Meaning {
        var state: TapState?
        var allowsSet: Bool
        var patience: Int64?
        var isOfFilterExpression: Bool?

        init(_ state: TapState?, allowsSet: Bool = false, patience: Int64? = 0, isOfFilterExpression: Bool? = nil) {
            self.state = state
            self.allowsSet = allowsSet
            self.patience = patience
            self.isOfFilterExpression = isOfFilterExpression
        }
    }

    /// The one table of what reasons mean: a new reason gets a case above, a row here and a row in docs/reference/reasons.md.
    private var meaning: Meaning {
        switch self {
        case .invalidMetadata: Meaning(.failed)
        case .duplicateName: Meaning(.failed)
        case .invalidFilter: Meaning(.failed, isOfFilterExpression: true)
        case .filterPending: Meaning(.pending, allowsSet: true, patience: 10, isOfFilterExpression: false)
        case .tooManyTaps: Meaning(.denied)
        case .noSuchDestination: Meaning(.failed)
        case .inlineDestinationDenied: Meaning(.denied)
        case .destinationNotAllowed: Meaning(.denied)
        case .destinationUnsafe: Meaning(.denied)
        case .hostListens: Meaning(nil, allowsSet: true)
        case .destinationLoop: Meaning(.denied)
        case .destinationDown: Meaning(.failed, allowsSet: true)
        case .neighbourUnreachable: Meaning(.failed, allowsSet: true)
        case .defaultRoute: Meaning(.failed, allowsSet: true)
        case .mtuTooSmall: Meaning(.failed, allowsSet: true)
        case .noMatchingInterface: Meaning(.failed)
        case .interfaceTypeUnsupported: Meaning(.unsupported)
        case .deviceNotOwned: Meaning(.denied)
        case .deviceGone: Meaning(.pending, allowsSet: true, patience: 10)
        case .qdiscConflict: Meaning(.failed, allowsSet: true)
        case .kernelTooOld: Meaning(.unsupported)
        case .attachFailed: Meaning(.failed, allowsSet: true, patience: 10, isOfFilterExpression: false)
        case .detachedRepeatedly: Meaning(.failed, allowsSet: true)
        case .domainNotRunning: Meaning(.pending, allowsSet: true, patience: nil)
        case .nextStart: Meaning(.pending, allowsSet: true, patience: nil)
        case .disabledByHost: Meaning(.disabled, allowsSet: true, patience: nil)
        case .disabledByMetadata: Meaning(.disabled, allowsSet: true, patience: nil)
        case .notImplemented: Meaning(.failed)
        case .filterTooLarge: Meaning(.failed, isOfFilterExpression: true)
        case .destinationElsewhere: Meaning(.failed, allowsSet: true)
        case .destinationOverloaded: Meaning(.failed, allowsSet: true)
        case .bpffsNotMounted: Meaning(.failed, allowsSet: true)
        case .permissionDenied: Meaning(.failed, allowsSet: true, isOfFilterExpression: false)
        case .libvirtDisconnected: Meaning(.pending, allowsSet: true, patience: 60)
        case .hookMissing: Meaning(nil, allowsSet: true)
        case .hookNotCalled: Meaning(nil, allowsSet: true)
        case .notFirst: Meaning(nil, allowsSet: true)
        case .configStale: Meaning(nil, allowsSet: true)
        case .definitionDiffers: Meaning(nil, allowsSet: true)
        case .configInvalid: Meaning(.failed, allowsSet: true)
        case .statusSocketMissing: Meaning(nil, allowsSet: true)
        case .restartNeeded: Meaning(nil, allowsSet: true)
        case .foreignMark: Meaning(nil, allowsSet: true)
        case .deviceChanged: Meaning(nil, allowsSet: true)
        }
    }

    /// The state that a tap or an interface has for this reason; `nil` for a reason that is only ever a warning.
    ///
    /// `pending` is for what ends by itself in the ordinary course of things, `denied` for what a rule of the host forbids, `unsupported`
    /// for what this host cannot do, `failed` for everything else that keeps copies from arriving.
    public var state: TapState? { meaning.state }

    /// Whether nothing is wrong with the tap or the destination as they are defined: `set` writes the tap and warns. For any other reason
    /// `set` refuses, since the tap would not copy before the metadata or a `<destination>` is changed.
    public var allowsSet: Bool { meaning.allowsSet }

    /// What the reason says when a filter could not be compiled. `true`: the expression is wrong, for good; `false`: nothing is known of the
    /// expression yet, since the host could not compile it; `nil`: the reason has nothing to do with filters.
    public var isOfFilterExpression: Bool? { meaning.isOfFilterExpression }

    /// How many seconds a tap of a running domain may be pending for this reason before `status --check` reports a problem; `nil`: without
    /// limit, since somebody wants it so.
    ///
    /// What passes by itself has passed by then in the ordinary course of things: a device is made, a program attached, a filter compiled.
    /// libvirt's daemon may take longer to restart. Whatever is not pending is a problem at once, since copies are lost meanwhile.
    public var patience: Int64? { meaning.patience }
}

/// How a tap, one of its interfaces, or a destination fares.
public enum TapState: String, CaseIterable, Codable, Sendable {
    /// Attached, with a destination that, as far as this host can see, takes the copies.
    case active
    /// Some of the tap's interfaces are active and some are not; or what was attached before copies on, since it could not be replaced.
    case degraded
    /// Waits for something that comes in the ordinary course of things.
    case pending
    /// Something keeps copies from arriving, and somebody has to repair it.
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
