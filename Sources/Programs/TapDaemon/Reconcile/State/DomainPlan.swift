// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// The steps that bring one domain's attachments to the desired state, decided from what is known and was observed: a pure function.
struct DomainPlan {
    /// The steps that are due now, in order.
    let actions: [Action]
    /// Steps that are left out for now: they restore what somebody else keeps removing.
    let heldBack: [Action]
    /// Whether anything is known of the domain; else what is there stays as it is.
    let isDecided: Bool

    /// - Parameters:
    ///   - domain: the domain with verdicts on its taps; `nil`: nothing is known of it, or there is none.
    ///   - isAbsent: whether libvirt said that there is no such domain.
    ///   - observed: its attachments as the kernel has them.
    ///   - mayRestore: whether one that somebody else removed may be put back now.
    init(
        _ domain: DomainView?, isAbsent: Bool, observed: [ObservedAttachment], host: HostState, mayRestore: (AttachmentID) -> Bool
    ) {
        let evidence = DomainEvidence.of(domain, isAbsent: isAbsent, observed: observed, host: host)
        isDecided = evidence != .unknown
        var (actions, heldBack): ([Action], [Action]) = ([], [])
        for action in Planner.plan(evidence, observed: observed) {
            if action.restores, !mayRestore(action.id) { heldBack.append(action) } else { actions.append(action) }
        }
        (self.actions, self.heldBack) = (actions, heldBack)
    }

    /// All attachments that it has a step for, due or not.
    var ids: Set<AttachmentID> { Set(actions.map(\.id)).union(heldBack.map(\.id)) }

    /// Whether a step needs its destination to be written before it.
    var needsDestinations: Bool { actions.contains { $0.desired != nil } || !heldBack.isEmpty }
}
