// SPDX-License-Identifier: LGPL-2.1-or-later
import Synchronization

/// Who is told of the end of a connection, by number.
///
/// libvirt is given the number and no pointer: it may call back after the connection was closed here. Taking the callback back is a
/// call to libvirt's daemon, which fails when that has ended, and then the callback stands.
enum CloseListeners {
    private static let state = Mutex((last: 0, contexts: [Int: EventContext]()))

    /// - Returns: the number, never used before.
    static func add(_ context: EventContext) -> Int {
        state.withLock {
            $0.last += 1
            $0.contexts[$0.last] = context
            return $0.last
        }
    }

    /// What comes for this number from now on is for nobody.
    static func remove(_ number: Int) { state.withLock { $0.contexts[number] = nil } }

    static func context(_ number: Int) -> EventContext? { state.withLock { $0.contexts[number] } }
}
