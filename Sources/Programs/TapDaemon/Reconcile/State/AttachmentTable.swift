// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// The attachments of this host: as the kernel had them when they were read last, why the latest attempts at them failed, and how often
/// somebody else removed them. Times are seconds of a clock that does not jump.
struct AttachmentTable {
    private var byDomain: [String: [AttachmentID: ObservedAttachment]] = [:]
    /// Why the latest attempt at an attachment failed, also of those that are not there.
    private(set) var failures: [AttachmentID: Failure] = [:]
    /// Those of them that the log has: each is there once, and not again with the tap's state or at the next attempt.
    private var logged: [AttachmentID: Failure] = [:]
    private var removals = RemovalHistory<AttachmentID>()
    /// The attachments of a later version that the log has.
    private var loggedForeign: Set<AttachmentID> = []

    // MARK: What the kernel has

    /// One as it was read last; `nil`: it is not there.
    subscript(id: AttachmentID) -> ObservedAttachment? {
        get { byDomain[id.domain]?[id] }
        set {
            byDomain[id.domain, default: [:]][id] = newValue
            if byDomain[id.domain]?.isEmpty == true { byDomain[id.domain] = nil }
        }
    }

    /// Replaces all of them by what was read now.
    mutating func replace(_ attachments: [ObservedAttachment]) {
        byDomain = Dictionary(grouping: attachments, by: \.id.domain).mapValues { own in
            Dictionary(own.map { ($0.id, $0) }) { _, last in last }
        }
    }

    /// Forgets what is there and what failed: all of it was removed.
    mutating func purge() {
        byDomain = [:]
        failures = [:]
        logged = [:]
    }

    func of(_ domain: DomainUUID) -> [ObservedAttachment] { (byDomain[domain.hex] ?? [:]).values.map { $0 } }

    var all: [ObservedAttachment] { byDomain.values.flatMap(\.values) }

    var count: Int { byDomain.values.reduce(0) { $0 + $1.count } }

    /// The domains of those whose spec can be read.
    var domains: Set<DomainUUID> { Set(all.compactMap { $0.spec?.key.domain }) }

    /// The labels of the destinations that they copy to.
    var destinations: Set<String> { Set(all.compactMap { $0.spec?.options.destination }) }

    /// One domain's, and why others are not there, for its status.
    func view(of domain: DomainUUID) -> KernelView {
        KernelView(attachments: Dictionary(uniqueKeysWithValues: of(domain).map { ($0.id, $0) }), failures: failures)
    }

    /// Whether an attachment of a later version is not in the log yet; `true` counts as logged.
    mutating func isNewForeign(_ id: AttachmentID) -> Bool { loggedForeign.insert(id).inserted }

    // MARK: Attempts

    /// Notes that an attempt did what it was to do.
    mutating func succeeded(_ id: AttachmentID) {
        failures[id] = nil
        logged[id] = nil
    }

    /// Notes why an attempt failed, or why it is not made.
    mutating func failed(_ id: AttachmentID, _ failure: Failure) { failures[id] = failure }

    /// Whether the log does not have this failure of this attachment yet; `true` counts as logged.
    mutating func isNews(_ failure: Failure, of id: AttachmentID) -> Bool { logged.updateValue(failure, forKey: id) != failure }

    /// The failures of a domain's attachments that the log has.
    func loggedFailures(of domain: DomainUUID) -> [Failure] { logged.filter { $0.key.domain == domain.hex }.map(\.value) }

    /// Notes that one was detached: its failures and removals are forgotten.
    mutating func detached(_ id: AttachmentID) {
        self[id] = nil
        succeeded(id)
        removals.forget(id)
    }

    /// Forgets a domain's failures but those of `kept`: what needs no step has not failed.
    mutating func forgetFailures(of domain: DomainUUID, but kept: Set<AttachmentID>) {
        failures = failures.filter { $0.key.domain != domain.hex || kept.contains($0.key) }
        logged = logged.filter { $0.key.domain != domain.hex || kept.contains($0.key) }
    }

    // MARK: What others remove

    /// Notes that somebody else removed one. Call once for each removal.
    mutating func removed(_ id: AttachmentID, at now: Double) { removals.removed(id, at: now) }

    /// Notes that one is put back, or that it is tried.
    mutating func restored(_ id: AttachmentID, at now: Double) { removals.restored(id, at: now) }

    /// Whether one may be put back now, and that would not only go on with a fight.
    func mayRestore(_ id: AttachmentID, at now: Double) -> Bool { removals.mayRestore(id, at: now) }
}
