// SPDX-License-Identifier: LGPL-2.1-or-later

/// Decides when work on each domain and on the host is due. The first request is due at once; those within a second after a change of the
/// kernel are merged, since each attachment makes the kernel wait. Times are seconds of a clock that does not jump.
public struct WorkQueue: Sendable {
    /// A piece of work.
    public enum Item: Hashable, Sendable {
        /// Read and reconcile everything.
        case all
        case domain(DomainUUID)
        /// Check whether somebody removed what is attached.
        case sweep
        /// Read the paths to other machines.
        case paths
        /// Read how much is copied.
        case volume
        /// Report what was expected and did not come.
        case overdue

        fileprivate var concernsDomains: Bool {
            switch self {
            case .all, .domain: true
            case .sweep, .paths, .volume, .overdue: false
            }
        }
    }

    /// The answer to what is to be done now.
    public enum Next: Hashable, Sendable {
        case run(Item)
        /// Nothing is due before this time.
        case wait(until: Double)
        case idle
    }

    /// How many seconds requests for an item are merged after the kernel was changed for it.
    public static let interval = 1.0
    /// How many seconds requests for an item are merged after it was only read: nothing waited for that, but there may be a storm of events.
    public static let lookInterval = 0.05

    /// The longest pause in seconds after an item that took long.
    public static let longestPause = 5.0

    /// The requested items in the order of the requests, and when each is due.
    private var due: [(item: Item, time: Double)] = []
    /// The earliest time at which each item may run again.
    private var notBefore: [Item: Double] = [:]

    public init() {}

    /// Requests `item`, not before `delay` seconds from now. If it is requested already, the earlier time stands.
    public mutating func request(_ item: Item, at now: Double, after delay: Double = 0) {
        let earliest = max(now + delay, notBefore[item] ?? -.infinity)
        if let index = due.firstIndex(where: { $0.item == item }) {
            due[index].time = min(due[index].time, earliest)
        } else {
            due.append((item, earliest))
        }
    }

    /// Whether a domain, or everything, is to be looked at before `time`.
    public func hasDomains(before time: Double) -> Bool { due.contains { $0.item.concernsDomains && $0.time < time } }

    /// Notes that the kernel was changed for `item`, which is then left alone for a while.
    public mutating func changedKernel(for item: Item, at now: Double) { notBefore[item] = now + Self.interval }

    /// Notes that `item` was done and took this many seconds. In a storm of events it uses at most a tenth of all time, unless that
    /// would make it wait longer than `longestPause`.
    public mutating func tookTime(for item: Item, at now: Double, seconds duration: Double) {
        notBefore[item] = max(notBefore[item] ?? -.infinity, now + min(9 * duration, Self.longestPause))
    }

    /// What to do at `now`. An item that is returned counts as looked at.
    public mutating func next(at now: Double) -> Next {
        guard let index = due.firstIndex(where: { $0.time <= now }) else {
            return due.map(\.time).min().map { .wait(until: $0) } ?? .idle
        }
        let item = due.remove(at: index).item
        if notBefore.count > 4_096 { notBefore = notBefore.filter { $0.value > now } }
        notBefore[item] = now + Self.lookInterval
        return .run(item)
    }
}

/// Remembers how often somebody else removed something of ours, so that putting it back does not become a fight.
///
/// Times are seconds of a clock that does not jump.
public struct RemovalHistory<ID: Hashable & Sendable>: Sendable {
    /// So many removals within `window` make it a fight. From then on it is put back once per window, until it has stayed
    /// for a whole one.
    public static var limit: Int { 5 }
    public static var window: Double { 600 }

    private struct Record {
        var removals: [Double] = []
        var isFight = false
        var restored: Double?
    }

    private var records: [ID: Record] = [:]

    public init() {}

    /// Notes that `id` was found removed. Call once for each removal.
    public mutating func removed(_ id: ID, at now: Double) {
        var record = records[id] ?? Record()
        if record.isFight, let restored = record.restored, now - restored > Self.window { record = Record() }
        record.removals.removeAll { now - $0 > Self.window }
        record.removals.append(now)
        if record.removals.count >= Self.limit { record.isFight = true }
        records[id] = record
    }

    /// Whether it may be put back now.
    public func mayRestore(_ id: ID, at now: Double) -> Bool {
        guard let record = records[id], record.isFight, let restored = record.restored else { return true }
        return now - restored >= Self.window
    }

    /// Notes that it was, or was tried to be, put back.
    public mutating func restored(_ id: ID, at now: Double) { records[id]?.restored = now }

    /// Forgets what is gone for good.
    public mutating func forget(_ id: ID) { records[id] = nil }
}
