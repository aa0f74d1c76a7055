// SPDX-License-Identifier: LGPL-2.1-or-later

/// Lets the work loop sleep until a time or until there is something to do. Belongs to one actor: not Sendable.
final class Wakeup {
    private var continuation: CheckedContinuation<Void, Never>?
    private var isSet = false

    /// Ends the current sleep, or the next one before it begins.
    func wake() {
        isSet = true
        continuation?.resume()
        continuation = nil
    }

    /// Returns when woken. One sleeper at a time.
    func wait(isolation: isolated (any Actor)? = #isolation) async {
        if !isSet {
            await withCheckedContinuation { continuation = $0 }
        }
        isSet = false
    }
}
