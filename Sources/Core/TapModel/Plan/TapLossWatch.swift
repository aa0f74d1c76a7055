// SPDX-License-Identifier: LGPL-2.1-or-later

/// Remembers which taps each domain had, to say so when they are gone and nobody was seen to take them away.
///
/// Taps live in a domain's metadata. Who changes metadata, as `virt-tap set`, `unset` and `virsh metadata` do, has libvirt send an event
/// with their namespace. Who writes the domain's whole XML anew does not, and mostly writes it without what is not their own. A
/// domain that is undefined is remembered for a while, since some of these undefine it and define it again. Kept for as long as the
/// daemon runs. Times are seconds of a clock that does not jump.
public struct TapLossWatch: Sendable {
    /// What is gone.
    public struct Loss: Hashable, Sendable {
        public enum Kind: Hashable, Sendable {
            /// The definition that the next start uses has been written without them; the guest that runs still has them.
            case atNextStart
            /// The domain has them no more.
            case atOnce
            /// They were only in the definition that ran.
            case withTheRun
        }

        public var domain: DomainUUID
        public var name: String
        public var kind: Kind
        public var taps: Set<TapName>
        /// Whether libvirt could not be listened to meanwhile, so that somebody may have taken them away in the ordinary way.
        public var isUnwatched: Bool
    }

    /// One domain as libvirt describes it.
    public struct Sight: Sendable {
        public var name: String
        public var isRunning: Bool
        public var isPersistent: Bool
        /// The taps of what runs; `nil`: its XML cannot be read.
        public var live: Set<TapName>?
        /// Those that the next start would have; `nil`: not known, or there is no such definition.
        public var persistent: Set<TapName>?

        public init(name: String, isRunning: Bool, isPersistent: Bool, live: Set<TapName>?, persistent: Set<TapName>?) {
            self.name = name
            self.isRunning = isRunning
            self.isPersistent = isPersistent
            self.live = live
            self.persistent = persistent
        }
    }

    private struct Record {
        var live: Set<TapName> = []
        var persistent: Set<TapName>?
        var isRunning = false
        /// Those that are known to end with the run.
        var told: Set<TapName> = []
        /// When this was asked for.
        var read: Double
        /// When metadata of ours were last written.
        var written = -Double.infinity
        var goneSince: Double?
    }

    /// The event may be told of after the change was read.
    public static let patience = 5.0
    /// How long a domain that is not there is remembered.
    static let memory = 86_400.0

    private var records: [DomainUUID: Record] = [:]
    private var losses: [DomainUUID: (loss: Loss, found: Double)] = [:]
    /// Since when libvirt has been listened to without a break.
    private var watchedSince = Double.infinity

    public init() {}

    /// When the next loss is to be told of; `nil`: there is none.
    public var nextLoss: Double? { losses.values.map(\.found).min().map { $0 + Self.patience } }

    /// Events come from now on.
    public mutating func connected(at now: Double) { watchedSince = now }

    /// Somebody has written our metadata of a domain, which explains what is not there any more.
    public mutating func written(_ domain: DomainUUID, at now: Double) {
        records[domain]?.written = now
        losses[domain] = nil
    }

    /// The domain comes from another host, or goes there: what it had here says nothing of what it ought to have.
    public mutating func forget(_ domain: DomainUUID) {
        records[domain] = nil
        losses[domain] = nil
    }

    /// libvirt says that there is no such domain.
    public mutating func gone(_ domain: DomainUUID, at now: Double) {
        records = records.filter { $0.value.goneSince.map { now - $0 < Self.memory } ?? true }
        guard records[domain]?.goneSince == nil else { return }
        records[domain]?.goneSince = now
        records[domain]?.isRunning = false
    }

    /// Takes what libvirt says of a domain.
    /// - Parameter asked: when it was asked for.
    public mutating func take(_ sight: Sight, of domain: DomainUUID, asked: Double) {
        let wished = (sight.live ?? []).union(sight.persistent ?? [])
        guard let before = records[domain] else {
            // Who has no tap has nothing to lose.
            if !wished.isEmpty {
                records[domain] = Record(
                    live: sight.live ?? [], persistent: sight.persistent, isRunning: sight.isRunning, read: asked)
            }
            return
        }
        var record = before
        (record.isRunning, record.read, record.goneSince) = (sight.isRunning, asked, nil)
        let isNewRun = sight.isRunning && !before.isRunning
        var lost: Set<TapName> = []
        if let persistent = sight.persistent {
            lost = (before.persistent ?? []).subtracting(persistent)
            record.persistent = persistent
            record.told = before.told.subtracting(persistent).union(lost)
        }
        if let live = sight.live {
            // A transient domain that is made anew.
            if isNewRun, !sight.isPersistent, before.persistent == nil { lost.formUnion(before.live.subtracting(live)) }
            record.live = live
        }
        var ended: Set<TapName> = []
        if !sight.isRunning {
            ended = before.live.subtracting(wished).subtracting(lost).subtracting(before.told)
            if sight.isPersistent { record.live = [] }
        }
        records[domain] = record
        guard before.written < before.read else { return }
        let remains = !lost.isDisjoint(with: sight.live ?? [])
        let kind: Loss.Kind = lost.isEmpty ? .withTheRun : remains ? .atNextStart : .atOnce
        let taps = lost.isEmpty ? ended : lost
        guard !taps.isEmpty else { return }
        let loss = Loss(domain: domain, name: sight.name, kind: kind, taps: taps, isUnwatched: before.read < watchedSince)
        losses[domain] = (loss, asked)
    }

    /// What is gone and was not explained in time; each is given once.
    public mutating func due(at now: Double) -> [Loss] {
        let due = losses.filter { now - $0.value.found >= Self.patience }
        for domain in due.keys { losses[domain] = nil }
        // Back again meanwhile, as after a definition that was put right at once.
        return due.values.map(\.loss).sorted { $0.domain < $1.domain }.compactMap { loss in
            guard let record = records[loss.domain] else { return loss }
            var loss = loss
            loss.taps.subtract(record.persistent ?? record.live)
            return loss.taps.isEmpty ? nil : loss
        }
    }
}
