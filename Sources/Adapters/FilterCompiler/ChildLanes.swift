// SPDX-License-Identifier: LGPL-2.1-or-later

/// Who may run a child now. Slow ones, of which there is one at a time, keep nobody else from running.
actor ChildLanes {
    private var running = 0
    private var isSlowRunning = false
    private var quick: [CheckedContinuation<Void, Never>] = []
    private var slow: [CheckedContinuation<Void, Never>] = []

    /// Returns when there is room, which `leave` gives back.
    func enter(slowly: Bool) async {
        if running < ChildLimits.parallel, !slowly || !isSlowRunning {
            running += 1
            isSlowRunning = isSlowRunning || slowly
        } else {
            await withCheckedContinuation { if slowly { slow.append($0) } else { quick.append($0) } }
        }
    }

    func leave(slowly: Bool) {
        running -= 1
        if slowly { isSlowRunning = false }
        if !quick.isEmpty {
            running += 1
            quick.removeFirst().resume()
        } else if !slow.isEmpty, !isSlowRunning {
            running += 1
            isSlowRunning = true
            slow.removeFirst().resume()
        }
    }
}
