// SPDX-License-Identifier: LGPL-2.1-or-later

/// One attachment as the kernel has it.
public struct ObservedAttachment: Hashable, Sendable {
    /// One direction's program.
    public enum Hook: Hashable, Sendable {
        /// It runs. `position` counts from 0 in the hook's chain; `foreignAhead` counts the programs of others that run earlier and may hide
        /// packets.
        case attached(position: Int, foreignAhead: Int)
        /// The pin exists, or should exist, and our program is not at the hook: somebody removed it.
        case detached
        /// The device is gone, and the link with it.
        case deviceGone
    }

    public var id: AttachmentID
    /// The pinned spec; `nil`: there is none that can be read, since the attachment is half made or another version made it.
    public var spec: AttachmentSpec?
    /// Whether a later version wrote the spec, so that this version cannot read it and does not know what it describes.
    public var isOfLaterVersion: Bool
    /// The state of each direction that the spec has or that is attached without it.
    public var hooks: [Direction: Hook]
    /// Whether the programs are those that this version of virt-tap would load, and use the pinned maps.
    public var isCurrentBuild: Bool
    /// Whether its qdisc (clsact) keeps libvirt from limiting one direction of the device.
    public var excludesLimits: Bool

    public init(
        id: AttachmentID, spec: AttachmentSpec?, hooks: [Direction: Hook], isCurrentBuild: Bool, excludesLimits: Bool = false,
        isOfLaterVersion: Bool = false
    ) {
        self.id = id
        self.spec = spec
        self.isOfLaterVersion = isOfLaterVersion
        self.hooks = hooks
        self.isCurrentBuild = isCurrentBuild
        self.excludesLimits = excludesLimits
    }

    /// Whether its device is gone, so that only dead pins are left.
    public var isDead: Bool { hooks.values.contains(.deviceGone) }

    /// Whether it does what `desired` describes and can be adopted as it is.
    public func satisfies(_ desired: DesiredAttachment) -> Bool {
        guard let spec, isCurrentBuild, spec.key == desired.key, spec.options == desired.options,
            spec.destinationKind.isTunnel == desired.destinationKind.isTunnel, spec.mechanism == desired.mechanism,
            spec.interface.isMacvtap == desired.interface.isMacvtap, Set(hooks.keys) == desired.options.direction.directions
        else { return false }
        return hooks.values.allSatisfy {
            if case .attached = $0 { true } else { false }
        }
    }
}

extension ObservedAttachment {
    /// The later of its positions in the hooks' chains, 0 is the first; `nil`: it is in none.
    public var position: Int? {
        hooks.values.compactMap {
            if case .attached(let position, _) = $0 { position } else { nil }
        }.max()
    }

    /// The largest number of programs of others that run before ours in one of its chains.
    public var foreignAhead: Int {
        hooks.values.compactMap {
            if case .attached(_, let foreign) = $0 { foreign } else { nil }
        }.max() ?? 0
    }

    /// A sentence that says what goes on copying although it differs from `desired`; `nil`: nothing does, or it does not differ.
    func former(to desired: DesiredAttachment) -> String? {
        guard let spec, !satisfies(desired) else { return nil }
        let copying = Direction.allCases.filter { if case .attached = hooks[$0] { true } else { false } }
        guard !copying.isEmpty else { return nil }
        let which = copying.count == hooks.count ? "" : " what is \(copying.map(\.rawValue).joined(separator: " and "))"
        guard spec.options.copiesSame(as: desired.options) else {
            return "The program before it goes on copying\(which), as it was asked for then: \(spec.options.summary)."
        }
        return "The program before it (build \(spec.build.prefix(12))) goes on copying\(which.isEmpty ? " the same" : which)."
    }

    /// Whether a program that was attached no longer is, although its device exists. `later` is the same attachment read again, `nil` when its
    /// pins are gone.
    public func isRemoved(by later: ObservedAttachment?) -> Bool {
        hooks.contains { direction, hook in
            guard case .attached = hook else { return false }
            return (later?.hooks[direction] ?? .detached) == .detached
        }
    }
}

/// What the kernel has and what it refused, for status.
public struct KernelView: Sendable {
    public var attachments: [AttachmentID: ObservedAttachment]
    public var counters: [AttachmentID: [Direction: DirectionCounters]]
    /// Why the last attempt at an attachment failed.
    public var failures: [AttachmentID: Failure]
    public var destinations: [DestinationRecord]
    /// Recent frames with our mark: those that cannot be copies get a warning.
    public var marks = MarkWatch()

    public init(
        attachments: [AttachmentID: ObservedAttachment] = [:], counters: [AttachmentID: [Direction: DirectionCounters]] = [:],
        failures: [AttachmentID: Failure] = [:], destinations: [DestinationRecord] = []
    ) {
        self.attachments = attachments
        self.counters = counters
        self.failures = failures
        self.destinations = destinations
    }
}
