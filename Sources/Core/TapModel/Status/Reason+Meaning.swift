// SPDX-License-Identifier: LGPL-2.1-or-later

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
