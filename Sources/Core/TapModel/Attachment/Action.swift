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
