// SPDX-License-Identifier: LGPL-2.1-or-later

/// When each domain is looked at: the first wish at once, those that follow within a second together, since each
/// attachment makes the kernel wait. Times are seconds of a clock that does not jump.
public struct WorkQueue: Sendable {
    public enum Item: Hashable, Sendable {
        /// Look at everything.
        case all
        case domain(DomainUUID)
    }

    public enum Next: Hashable, Sendable {
        case run(Item)
        /// Nothing is due before this time.
        case wait(until: Double)
        case idle
    }

    /// How long wishes for one item are merged.
    public static let interval = 1.0

    /// In the order of asking; the value is when it is due.
    private var due: [(item: Item, time: Double)] = []
    private var lastRun: [Item: Double] = [:]

    public init() {}

    /// Asks for `item`, not before `delay` seconds from now. What is asked for already is not asked for twice; the
    /// earlier time stands.
    public mutating func request(_ item: Item, at now: Double, after delay: Double = 0) {
        let earliest = max(now + delay, (lastRun[item] ?? -.infinity) + Self.interval)
        if let index = due.firstIndex(where: { $0.item == item }) {
            due[index].time = min(due[index].time, earliest)
        } else {
            due.append((item, earliest))
        }
    }

    /// What to do at `now`. An item that is returned counts as run.
    public mutating func next(at now: Double) -> Next {
        guard let index = due.firstIndex(where: { $0.time <= now }) else {
            return due.map(\.time).min().map { .wait(until: $0) } ?? .idle
        }
        let item = due.remove(at: index).item
        if lastRun.count > 4_096 { lastRun = lastRun.filter { now - $0.value < Self.interval } }
        lastRun[item] = now
        return .run(item)
    }
}
