// SPDX-License-Identifier: LGPL-2.1-or-later

/// Remembers which taps each domain had, to report taps that vanished from the metadata without an event.
///
/// A change of metadata, as by `virt-tap set`, `unset` and `virsh metadata`, causes an event with the namespace. A new definition of the whole
/// domain causes no such event, and programs that write one often leave out metadata that they do not know. A domain that is undefined is
/// remembered for a while, since some programs undefine it and define it again. The memory ends with the daemon. Times are seconds of a
/// clock that does not jump.
public struct TapLossWatch: Sendable {
    /// Taps that vanished.
    public struct Loss: Hashable, Sendable {
        public enum Kind: Hashable, Sendable {
            /// The definition that the next start uses has been written without them; the guest that runs still has them.
            case atNextStart
            /// The domain does not have them any more.
            case atOnce
            /// They were only in the definition that ran.
            case withTheRun
        }

        public var domain: DomainUUID
        public var name: String
        public var kind: Kind
        public var taps: Set<TapName>
        /// Whether events may have been missed meanwhile, so that somebody may have removed the taps in the ordinary way.
        public var isUnwatched: Bool
    }

    /// One domain as libvirt describes it.
    public struct Sight: Sendable {
        public var name: String
        public var isRunning: Bool
        public var isPersistent: Bool
        /// The taps of the live definition; `nil`: its XML cannot be read.
        public var live: Set<TapName>?
        /// The taps of the persistent definition; `nil`: it is not known, or there is none.
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
        /// Taps that are known to end with the run.
        var ending: Set<TapName> = []
        /// When the domain was read.
        var read: Double
        /// When our metadata was last written.
        var written = -Double.infinity
        var goneSince: Double?
    }

    /// How many seconds after the change its event may come.
    public static let patience = 5.0
    /// How many seconds a domain that does not exist is remembered.
    static let memory = 86_400.0

    private var records: [DomainUUID: Record] = [:]
    private var losses: [DomainUUID: (loss: Loss, found: Double)] = [:]
    /// Since when events have been received without a break.
    private var watchedSince = Double.infinity

    public init() {}

    /// When the next loss is to be reported; `nil`: there is none.
    public var nextLoss: Double? { losses.values.map(\.found).min().map { $0 + Self.patience } }

    /// Events are received from now on.
    public mutating func connected(at now: Double) { watchedSince = now }

    /// Somebody has written our metadata of a domain, which explains missing taps.
    public mutating func written(_ domain: DomainUUID, at now: Double) {
        records[domain]?.written = now
        losses[domain] = nil
    }

    /// The domain migrates from or to another host, so what it had here does not matter any more.
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

    /// Compares what libvirt says about a domain with what was known.
    /// - Parameter asked: when libvirt was asked.
    public mutating func take(_ sight: Sight, of domain: DomainUUID, asked: Double) {
        let present = (sight.live ?? []).union(sight.persistent ?? [])
        guard let before = records[domain] else {
            // A domain without taps cannot lose one.
            if !present.isEmpty {
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
            record.ending = before.ending.subtracting(persistent).union(lost)
        }
        if let live = sight.live {
            // A transient domain that was created again.
            if isNewRun, !sight.isPersistent, before.persistent == nil { lost.formUnion(before.live.subtracting(live)) }
            record.live = live
        }
        var ended: Set<TapName> = []
        if !sight.isRunning {
            ended = before.live.subtracting(present).subtracting(lost).subtracting(before.ending)
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

    /// The losses that no event explained in time; each is returned once.
    public mutating func due(at now: Double) -> [Loss] {
        let due = losses.filter { now - $0.value.found >= Self.patience }
        for domain in due.keys { losses[domain] = nil }
        // Taps may be back meanwhile, when the definition was corrected at once.
        return due.values.map(\.loss).sorted { $0.domain < $1.domain }.compactMap { loss in
            guard let record = records[loss.domain] else { return loss }
            var loss = loss
            loss.taps.subtract(record.persistent ?? record.live)
            return loss.taps.isEmpty ? nil : loss
        }
    }
}
