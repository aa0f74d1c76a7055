// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// The last known state of each tap, to log changes and to show how long it lasts, and the taps that get frames with the mark of copies
/// which are no copies.
struct TapStateTable {
    private var records: [DomainUUID: [TapOccurrence: TapStateRecord]] = [:]
    /// How the counters of frames with our mark grew.
    private(set) var marks = MarkWatch()
    /// The taps for which the log has such frames.
    private var loggedMarks: Set<TapKey> = []

    /// Records the states of a domain's taps.
    /// - Returns: the taps whose state or reason changed; `isNew`: the tap was not known before.
    mutating func note(_ taps: [TapStatus], of uuid: DomainUUID, at now: Timestamp) -> [(tap: TapStatus, isNew: Bool)] {
        let keys = TapOccurrence.of(taps)
        var changed: [(tap: TapStatus, isNew: Bool)] = []
        for (tap, key) in zip(taps, keys) {
            let before = records[uuid]?[key]
            guard before?.state != tap.state || before?.reason != tap.reason else { continue }
            records[uuid, default: [:]][key] = TapStateRecord(tap, after: before, at: now)
            changed.append((tap, before == nil))
        }
        if (records[uuid]?.count ?? 0) > keys.count { records[uuid] = records[uuid]?.filter { keys.contains($0.key) } }
        return changed
    }

    /// Since when each of a document's taps, in its order, has been in its state; `nil`: not known.
    func since(_ taps: [TapStatus]) -> [Timestamp?] { TapOccurrence.of(taps).map { records[$0.key.domain]?[$0]?.since } }

    /// The states of a domain's taps.
    func states(of uuid: DomainUUID) -> [TapState] { records[uuid, default: [:]].values.map(\.state) }

    /// Forgets a domain that there is no more.
    mutating func forget(_ uuid: DomainUUID) { records[uuid] = nil }

    /// Takes in the counters of an attachment.
    /// - Parameter isNew: whether nothing can have been counted before they are read for the first time.
    mutating func note(_ id: AttachmentID, _ mark: PacketMark, _ counters: [Direction: DirectionCounters], isNew: Bool, at now: Timestamp) {
        marks.note(id, mark, counters, isNew: isNew, at: now)
    }

    /// Forgets the counters of all attachments but these.
    mutating func keepMarks(of ids: Set<AttachmentID>) { marks.keep(ids) }

    /// Records which taps get such frames now; all of them count as logged. - Returns: those that the log does not have.
    mutating func newMarks(among taps: Set<TapKey>) -> Set<TapKey> {
        defer { loggedMarks = taps }
        return taps.subtracting(loggedMarks)
    }
}

/// A tap's state and since when it has been in it.
struct TapStateRecord: Equatable {
    var state: TapState
    var reason: Reason?
    var isRunning: Bool
    var since: Timestamp

    /// What a tap is found to be now. One that waits for another thing than before has waited all the time; but what waited for its
    /// domain to start has waited for nothing that was to come by itself.
    init(_ tap: TapStatus, after before: TapStateRecord?, at now: Timestamp) {
        state = tap.state
        reason = tap.reason
        isRunning = tap.running == true
        let waits = before?.reason.map { $0.patience != nil } ?? true
        if let before, waits, before.state == tap.state, before.isRunning == (tap.running == true) {
            since = before.since
        } else {
            since = now
        }
    }
}

/// One entry of a domain's taps, for what is remembered from one reading to the next.
struct TapOccurrence: Hashable {
    var key: TapKey
    /// Counts the domain's taps of that name: a `duplicate-name` has its twin's.
    var number: Int

    /// Those of a document's taps, in its order.
    static func of(_ taps: [TapStatus]) -> [TapOccurrence] {
        var counts: [TapKey: Int] = [:]
        return taps.map { tap in
            let key = TapKey(domain: tap.uuid, origin: tap.origin, name: tap.name)
            defer { counts[key, default: 0] += 1 }
            return TapOccurrence(key: key, number: counts[key, default: 0])
        }
    }
}
