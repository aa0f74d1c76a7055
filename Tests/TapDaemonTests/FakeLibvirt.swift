// SPDX-License-Identifier: LGPL-2.1-or-later

import Synchronization
import TapModel

/// A libvirt whose domains the test writes.
final class FakeLibvirt: DomainSource {
    struct State {
        var domains: [DomainUUID: DomainSnapshot] = [:]
        /// What it says when it is asked.
        var mood = Mood.answers
        var asked = 0
    }

    enum Mood {
        case answers
        /// Lists nothing, and knows nobody.
        case knowsNobody
        case fails
        /// Answers when it has another mood.
        case waits
        /// Never answers.
        case hangs
    }

    let events = AsyncStream<HypervisorEvent> { $0.finish() }
    let state = Mutex(State())

    func domains() async throws -> [DomainSnapshot] {
        try await answer { Array($0.domains.values) } ?? []
    }

    func domain(_ uuid: DomainUUID) async throws -> DomainSnapshot? {
        try await answer { $0.domains[uuid] } ?? nil
    }

    private func answer<Value>(_ value: (borrowing State) -> Value) async throws -> Value? {
        var mood = state.withLock {
            $0.asked += 1
            return $0.mood
        }
        while mood == .waits {
            try await Task.sleep(for: .milliseconds(1))
            mood = self.mood
        }
        switch mood {
        case .answers: return state.withLock { value($0) }
        case .knowsNobody: return nil
        case .fails: throw Failure(.libvirtDisconnected, "no answer")
        case .hangs, .waits:
            // Ends when the test's task is cancelled.
            try await Task.sleep(for: .seconds(3600))
            return nil
        }
    }
}

extension FakeLibvirt {
    var mood: Mood {
        get { state.withLock { $0.mood } }
        set { state.withLock { $0.mood = newValue } }
    }

    subscript(uuid: DomainUUID) -> DomainSnapshot? {
        get { state.withLock { $0.domains[uuid] } }
        set { state.withLock { $0.domains[uuid] = newValue } }
    }
}
