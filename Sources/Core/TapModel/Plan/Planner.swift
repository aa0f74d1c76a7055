// SPDX-License-Identifier: LGPL-2.1-or-later

/// One step that brings the kernel nearer to what is desired.
public enum Action: Hashable, Sendable {
    /// Load and attach; nothing of this attachment is there.
    case attach(DesiredAttachment)
    /// Change what is there, in place: programs are exchanged without a moment in which nothing is copied, a
    /// direction is added or taken away, and the counters go on. `restored` names the directions that somebody
    /// else had removed.
    case replace(DesiredAttachment, restored: Set<Direction>)
    /// End copying and remove the pins.
    case detach(AttachmentID, why: String)
    /// Remove the pins of a device that is gone.
    case collect(AttachmentID)

    /// The attachment that it is about.
    public var id: AttachmentID {
        switch self {
        case .attach(let desired), .replace(let desired, _): desired.key.id
        case .detach(let id, _), .collect(let id): id
        }
    }

    /// What is there afterwards; `nil`: nothing.
    public var desired: DesiredAttachment? {
        switch self {
        case .attach(let desired), .replace(let desired, _): desired
        case .detach, .collect: nil
        }
    }

    /// Whether it may put back what somebody else removed.
    public var restores: Bool {
        switch self {
        case .attach: true
        case .replace(_, let restored): !restored.isEmpty
        case .detach, .collect: false
        }
    }
}

/// Compares what ought to be with what is.
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
                guard let wished = desired.removeValue(forKey: attachment.id) else {
                    if kept.contains(attachment.id) { continue }
                    actions.append(.detach(attachment.id, why: "the domain's metadata and this host's configuration no longer ask for it"))
                    continue
                }
                actions += steps(from: attachment, to: wished)
            }
        }
        // What is left has no pins. Added last, so that a device's place is free again before it is taken.
        if case .running(let list, _) = evidence {
            var added: Set<AttachmentID> = []
            for one in list where desired[one.key.id] == one && added.insert(one.key.id).inserted {
                actions.append(.attach(one))
            }
        }
        return actions
    }

    private static func steps(from attachment: ObservedAttachment, to wished: DesiredAttachment) -> [Action] {
        if attachment.satisfies(wished) { return [] }
        guard let spec = attachment.spec, spec.key == wished.key, spec.mechanism == wished.mechanism else {
            // Half made, or on the other mechanism: nothing of it can be kept.
            return [.detach(attachment.id, why: "it is made again"), .attach(wished)]
        }
        let removed = attachment.hooks.filter { $0.value == .detached && wished.options.direction.directions.contains($0.key) }
        return [.replace(wished, restored: Set(removed.keys))]
    }
}
