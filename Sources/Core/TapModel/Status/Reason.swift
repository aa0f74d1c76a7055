// SPDX-License-Identifier: LGPL-2.1-or-later

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
