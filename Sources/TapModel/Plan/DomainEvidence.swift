// SPDX-License-Identifier: LGPL-2.1-or-later

/// What is positively known of a domain when its attachments are planned.
public enum DomainEvidence: Hashable, Sendable {
    /// It runs, and this is what its live XML asks for here.
    case running([DesiredAttachment])
    /// libvirt said that it does not run, or that there is no such domain.
    case notRunning
    /// Nothing: an error, a time-out, no connection. Never a reason to end copying.
    case unknown
}
