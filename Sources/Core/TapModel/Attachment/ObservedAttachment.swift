// SPDX-License-Identifier: LGPL-2.1-or-later

/// One attachment as the kernel has it.
public struct ObservedAttachment: Hashable, Sendable {
    /// One direction's program.
    public enum Hook: Hashable, Sendable {
        /// It runs. `position` counts from 0 in the hook's chain; `foreignAhead` are programs there, not ours, that run
        /// earlier and may hide packets.
        case attached(position: Int, foreignAhead: Int)
        /// The pin is there, or should be, and nothing of ours is at the hook: somebody removed it.
        case detached
        /// The device is gone, and the link with it.
        case deviceGone
    }

    public var id: AttachmentID
    /// `nil` when the pins hold none that can be read: half made, or made by a version unlike this one.
    public var spec: AttachmentSpec?
    /// Whether there is a whole spec that this version cannot read: a later one wrote it, and what it asks for is not known.
    public var isForeign: Bool
    /// Only the directions that the spec asks for, or that are there although it does not.
    public var hooks: [Direction: Hook]
    /// Whether the programs are those that this version of virt-tap would load, and work on the maps that are pinned.
    public var isCurrentBuild: Bool
    /// Whether it needs a qdisc that keeps libvirt from limiting what crosses the device one way: clsact does.
    public var excludesLimits: Bool

    public init(
        id: AttachmentID, spec: AttachmentSpec?, hooks: [Direction: Hook], isCurrentBuild: Bool, excludesLimits: Bool = false,
        isForeign: Bool = false
    ) {
        self.id = id
        self.spec = spec
        self.isForeign = isForeign
        self.hooks = hooks
        self.isCurrentBuild = isCurrentBuild
        self.excludesLimits = excludesLimits
    }

    /// Whether its device is gone, so that only dead pins are left.
    public var isDead: Bool { hooks.values.contains(.deviceGone) }

    /// Whether it does what `desired` asks for and may be adopted as it is.
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
    /// The later of its places in the hooks' chains, 0 the first; `nil` when it is at none.
    public var position: Int? {
        hooks.values.compactMap {
            if case .attached(let position, _) = $0 { position } else { nil }
        }.max()
    }

    /// How many programs of others run before ours in the chain where they are most.
    public var foreignAhead: Int {
        hooks.values.compactMap {
            if case .attached(_, let foreign) = $0 { foreign } else { nil }
        }.max() ?? 0
    }

    /// What of it goes on copying, in a sentence, although it is not what `desired` asks for; `nil`: nothing, or it is.
    func former(to desired: DesiredAttachment) -> String? {
        guard let spec, !satisfies(desired) else { return nil }
        let copying = Direction.allCases.filter { if case .attached = hooks[$0] { true } else { false } }
        guard !copying.isEmpty else { return nil }
        let which = copying.count == hooks.count ? "" : " what is \(copying.map(\.rawValue).joined(separator: " and "))"
        guard spec.options.copiesSame(as: desired.options) else {
            return "The program before it goes on copying\(which), as it was asked for then: \(spec.options.choice)."
        }
        return "The program before it (build \(spec.build.prefix(12))) goes on copying\(which.isEmpty ? " the same" : which)."
    }

    /// Whether something of it that was attached no longer is, although its device is there. `later`: the same attachment
    /// looked up again, `nil` when its pins are gone.
    public func isRemoved(by later: ObservedAttachment?) -> Bool {
        hooks.contains { direction, hook in
            guard case .attached = hook else { return false }
            return (later?.hooks[direction] ?? .detached) == .detached
        }
    }
}

/// What the kernel holds, and what it refused, for status.
public struct KernelView: Sendable {
    public var attachments: [AttachmentID: ObservedAttachment]
    public var counters: [AttachmentID: [Direction: DirectionCounters]]
    /// Why the last attempt at an attachment failed.
    public var failures: [AttachmentID: Failure]
    public var destinations: [DestinationRecord]
    /// Frames with our mark that came of late: what of them can be no copies is told.
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
