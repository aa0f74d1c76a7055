// SPDX-License-Identifier: LGPL-2.1-or-later

/// Remembers how often somebody else removed an attachment, so that putting it back does not become a fight.
///
/// Times are seconds of a clock that does not jump.
public struct RemovalHistory: Sendable {
    /// So many removals within `window` make it a fight; from then on it is put back once per window.
    public static let limit = 5
    public static let window = 600.0

    private var removals: [AttachmentID: [Double]] = [:]
    private var lastRestored: [AttachmentID: Double] = [:]

    public init() {}

    /// Notes that `id` was found removed. Call once for each removal.
    public mutating func removed(_ id: AttachmentID, at now: Double) {
        removals[id, default: []].removeAll { now - $0 > Self.window }
        removals[id, default: []].append(now)
    }

    /// Whether it is removed so often that it is only put back once in a while.
    public func isFight(_ id: AttachmentID, at now: Double) -> Bool {
        (removals[id] ?? []).count(where: { now - $0 <= Self.window }) >= Self.limit
    }

    /// Whether it may be put back now.
    public func mayRestore(_ id: AttachmentID, at now: Double) -> Bool {
        guard isFight(id, at: now), let last = lastRestored[id] else { return true }
        return now - last >= Self.window
    }

    public mutating func restored(_ id: AttachmentID, at now: Double) { lastRestored[id] = now }

    /// Forgets what is gone for good.
    public mutating func forget(_ id: AttachmentID) {
        removals[id] = nil
        lastRestored[id] = nil
    }
}
