// SPDX-License-Identifier: LGPL-2.1-or-later

import Synchronization
import TapModel

@testable import TapDaemon

/// A compiler that takes as long as the test lets it.
final class FakeFilters: FilterSource {
    struct State {
        /// What those that are not good come to.
        var failures: [String: Failure] = [:]
        /// Those that come to no end until they are released.
        var slow: Set<String> = []
        /// Everything that was asked for, in order.
        var asked: [String] = []
    }

    let state = Mutex(State())

    func compile(_ expression: String) async throws(Failure) -> CompiledFilter {
        state.withLock { $0.asked.append(expression) }
        while state.withLock({ $0.slow.contains(expression) }) { try? await Task.sleep(for: .milliseconds(2)) }
        if let failure = state.withLock({ $0.failures[expression] }) { throw failure }
        return CompiledFilter(expression: expression, instructions: [0x4_0000_0000_0006])
    }
}

extension FakeFilters {
    var asked: [String] { state.withLock { $0.asked } }

    func hold(_ expression: String) { state.withLock { _ = $0.slow.insert(expression) } }

    func release(_ expression: String) { state.withLock { _ = $0.slow.remove(expression) } }

    func fail(_ expression: String, _ failure: Failure?) { state.withLock { $0.failures[expression] = failure } }
}
