// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// Something on a guest's device, while it is there.
protocol Attached {
    /// What our tap says that it did with what the guest sent; `nil` for others.
    func counters() throws -> DirectionCounters?
    /// Where the copies arrive; `nil`: at the path's own end.
    var farEnd: (any CopyCount)? { get }
    func detach() throws
}

extension Attached {
    func counters() throws -> DirectionCounters? { nil }
    var farEnd: (any CopyCount)? { nil }
}

/// Nothing is attached.
struct Untapped: Attached {
    func detach() {}
}
