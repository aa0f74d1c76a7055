// SPDX-License-Identifier: LGPL-2.1-or-later

/// One step of a plan towards the desired state.
public enum Action: Hashable, Sendable {
    /// Attach; this attachment does not exist.
    case attach(DesiredAttachment)
    /// Replace the attachment in place: programs are exchanged without a gap in copying, a direction is added or removed, and the counters go
    /// on. `restored` has the directions that somebody else had removed.
    case replace(DesiredAttachment, restored: Set<Direction>)
    /// End copying and remove the pins.
    case detach(AttachmentID, why: String)
    /// Remove the pins of a device that is gone.
    case collect(AttachmentID)

    /// The attachment of the step.
    public var id: AttachmentID {
        switch self {
        case .attach(let desired), .replace(let desired, _): desired.key.id
        case .detach(let id, _), .collect(let id): id
        }
    }

    /// The attachment after the step; `nil`: it does not exist any more.
    public var desired: DesiredAttachment? {
        switch self {
        case .attach(let desired), .replace(let desired, _): desired
        case .detach, .collect: nil
        }
    }

    /// Whether the step may put back what somebody else removed.
    public var restores: Bool {
        switch self {
        case .attach: true
        case .replace(_, let restored): !restored.isEmpty
        case .detach, .collect: false
        }
    }
}

/// Compares the desired state with the observed state.
public enum Planner {
    /// The steps, in order, that bring one domain's attachments to what is desired. Pure and total; with nothing to do
    /// it is empty, so running it again does no harm.
    ///
    /// - Parameters:
    ///   - evidence: what is known of the domain. An attachment ends only on positive evidence: the running domain's
    ///     XML without it, the domain not running, or its device gone.
    ///   - observed: all attachments with this domain's UUID.
    public static func plan(_ evidence: DomainEvidence, observed: [ObservedAttachment]) -> [Action] {
        var actions: [Action] = []
        var desired: [AttachmentID: DesiredAttachment] = [:]
        if case .running(let list, _) = evidence {
            for one in list { desired[one.key.id] = one }
        }
        for attachment in observed.sorted(by: { $0.id.text < $1.id.text }) {
            if attachment.isDead {
                actions.append(.collect(attachment.id))
                continue
            }
            switch evidence {
            case .unknown:
                break
            case .notRunning:
                actions.append(.detach(attachment.id, why: "the domain does not run"))
                desired[attachment.id] = nil
            case .running(_, let kept):
                guard let wanted = desired.removeValue(forKey: attachment.id) else {
                    if kept.contains(attachment.id) { continue }
                    actions.append(.detach(attachment.id, why: "the domain's metadata and this host's configuration no longer ask for it"))
                    continue
                }
                actions += steps(from: attachment, to: wanted)
            }
        }
        // What is left has no pins. It is attached last, so that a position at a device's hook is free again before it is used.
        if case .running(let list, _) = evidence {
            var added: Set<AttachmentID> = []
            for one in list where desired[one.key.id] == one && added.insert(one.key.id).inserted {
                actions.append(.attach(one))
            }
        }
        return actions
    }

    private static func steps(from attachment: ObservedAttachment, to desired: DesiredAttachment) -> [Action] {
        if attachment.satisfies(desired) { return [] }
        guard let spec = attachment.spec, spec.key == desired.key, spec.mechanism == desired.mechanism else {
            // Half made, or on the other mechanism: nothing of it can be kept.
            return [.detach(attachment.id, why: "it is made again"), .attach(desired)]
        }
        let removed = attachment.hooks.filter { $0.value == .detached && desired.options.direction.directions.contains($0.key) }
        return [.replace(desired, restored: Set(removed.keys))]
    }
}
