// SPDX-License-Identifier: LGPL-2.1-or-later

import Synchronization
import TapControl
import TapModel
import Testing

@testable import TapDaemon

/// What the daemon does for `virt-tap test`.
@Suite struct TestFrameTests {
    let web1 = TestDomain(1)

    private func results(_ bench: Bench, _ tap: String? = nil) async -> [TestFrameResult] {
        await bench.reconciler.test(TestCall(domain: web1.uuid, tap: tap.flatMap { TapName($0) }, token: 7))
    }

    @Test func eachProgramOfEachTapGetsAFrame() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running("<v:tap to='ids'/><v:tap to='span' direction='inbound'/>")
        try await bench.run(untilActive: web1, "span") {
            let all = await results(bench)
            #expect(all.map(\.number) == [0, 1, 2])
            #expect(all.map(\.tap.text) == ["ids", "ids", "span"])
            #expect(Set(all.prefix(2).map(\.direction)) == [.inbound, .outbound] && all[2].direction == .inbound)
            #expect(all.allSatisfy { $0.outcome == TestFrameOutcome(fate: .copied) && $0.message == nil && $0.device == "vnet1" })
            #expect(await results(bench, "span").map(\.tap.text) == ["span"])
            #expect(await results(bench, "none").isEmpty)
            // What cannot be sent is said, one by one.
            bench.kernel.state.withLock { $0.testFrameOutcome = .failure(Failure(.attachFailed, "no memory")) }
            #expect(await results(bench).allSatisfy { $0.outcome == nil && $0.message == "no memory" })
        }
    }

    @Test func whatStandsAtNoHookIsNotTried() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running()
        try await bench.run(untilActive: web1) {
            bench.kernel.forgetChanges()
            bench.kernel.state.withLock { state in
                // Nor can it be put back meanwhile.
                state.failures = [Failure](repeating: Failure(.attachFailed, "no"), count: 50)
                for id in state.attachments.keys { state.attachments[id]?.hooks = [.inbound: .detached, .outbound: .detached] }
            }
            let all = await results(bench)
            #expect(all.count == 2 && all.allSatisfy { $0.message?.contains("is not at the hook of vnet1") == true })
            #expect(!bench.kernel.changes.contains { $0.hasPrefix("test frame") })
        }
    }
}
