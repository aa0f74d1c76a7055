// SPDX-License-Identifier: LGPL-2.1-or-later

/// Remembers how `marked` of each attachment grew, since the counter itself says neither when nor whether it still does.
public struct MarkWatch: Sendable {
    /// Seconds without a frame after which it has ended.
    public static let patience: Int64 = 600

    /// One time in which frames with our mark came.
    public struct Growth: Hashable, Sendable {
        /// How many.
        public var packets: UInt64
        /// When it was seen first.
        public var since: Timestamp
    }

    private struct Record {
        var count: UInt64
        var growth: Growth?
        var last: Timestamp
        var mark: PacketMark
    }

    private var records: [AttachmentID: [Direction: Record]] = [:]

    public init() {}

    /// Takes note of the counters.
    /// - Parameters:
    ///   - counters: what was counted at the time `now`.
    ///   - isNew: whether nothing can have been counted before they are seen for the first time.
    public mutating func note(
        _ id: AttachmentID, _ mark: PacketMark, _ counters: [Direction: DirectionCounters], isNew: Bool, at now: Timestamp
    ) {
        for (direction, counter) in counters {
            let count = counter.marked.packets
            // The counter begins anew with maps of another layout; another mark is another matter.
            guard var record = records[id]?[direction], record.mark == mark, record.count <= count else {
                let growth = isNew && count > 0 && records[id]?[direction] == nil ? Growth(packets: count, since: now) : nil
                records[id, default: [:]][direction] = Record(count: count, growth: growth, last: now, mark: mark)
                continue
            }
            if now.seconds - record.last.seconds > Self.patience { record.growth = nil }
            if count > record.count {
                record.growth = Growth(packets: (record.growth?.packets ?? 0) + count - record.count, since: record.growth?.since ?? now)
                (record.count, record.last) = (count, now)
            }
            records[id]?[direction] = record
        }
    }

    /// Forgets all but these.
    public mutating func keep(_ ids: Set<AttachmentID>) { records = records.filter { ids.contains($0.key) } }

    /// What has come of late, by direction.
    public func growth(of id: AttachmentID) -> [Direction: Growth] { (records[id] ?? [:]).compactMapValues(\.growth) }
}
