// SPDX-License-Identifier: LGPL-2.1-or-later

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
