// SPDX-License-Identifier: LGPL-2.1-or-later

/// Does a piece of work for whoever asks, one time after the other: one is done, one more waits to begin, and who asks meanwhile gets what
/// that one brings. So nobody's time grows with how many ask.
actor Turns<Value: Sendable> {
    private var last: Task<Value, Never>?
    private var next: Task<Value, Never>?

    /// - Parameter work: begins after this was called, and sees all that was the case before; that of the first who waits is done for all.
    func take(_ work: @escaping @Sendable () async -> Value) async -> Value {
        if let next { return await next.value }
        let before = last
        let task = Task {
            _ = await before?.value
            // Whoever comes from now on may know of what the work does not see any more.
            next = nil
            return await work()
        }
        (last, next) = (task, task)
        return await task.value
    }
}
