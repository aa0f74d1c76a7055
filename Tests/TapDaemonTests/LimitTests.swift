// SPDX-License-Identifier: LGPL-2.1-or-later

import Synchronization
import TapModel
import Testing

@testable import TapDaemon

/// The host's `<limit>` stops copying to a destination and lets it go on by one map update.
@Suite struct LimitTests {
    let web1 = TestDomain(1)
    let web2 = TestDomain(2)

    private func configuration(_ limit: String) -> String {
        """
        <virt-tap>
          <destination name='ids'><interface name='mon0'/></destination>
          <destination name='span'><interface name='mon1'/></destination>
          \(limit)
        </virt-tap>
        """
    }

    private func sent(_ bench: Bench, _ label: String, _ bytes: UInt64) {
        bench.kernel.state.withLock {
            $0.destinations[label]?.sent += Counter(packets: bytes / 1_000, bytes: bytes)
            $0.destinations[label]?.given += Counter(packets: bytes / 1_000, bytes: bytes)
        }
    }

    @Test func theHeaviestIsStoppedAndResumes() async throws {
        let bench = try Bench(configuration("<limit rate='8mbit'/>"))
        bench.libvirt[web1.uuid] = web1.running()
        bench.libvirt[web2.uuid] = web2.running("<v:tap name='ids' to='span'/>")
        try await bench.run {
            await bench.connect()
            try await bench.eventually("both copy") {
                let states = [await bench.tap(web1)?.state, await bench.tap(web2)?.state]
                return states == [.active, .active]
            }
            await bench.advance(1.1)
            try await bench.settle()
            bench.kernel.forgetChanges()
            sent(bench, "ids", 50_000_000)
            sent(bench, "span", 10_000)
            await bench.advance(1.1)
            try await bench.eventually("it is stopped") { bench.kernel.destination("ids") == 0 }
            let tap = await bench.tap(web1)
            #expect(tap?.reason == .destinationOverloaded)
            #expect(tap?.state == .failed)
            #expect(await bench.tap(web2)?.state == .active)
            #expect(bench.kernel.destination("span") == 21)
            let status = await bench.reconciler.status().destinations.first { $0.name == "ids" }
            #expect(status?.reason == .destinationOverloaded)
            #expect(status?.message?.contains("over its <limit> of 8mbit") == true)

            await bench.advance(3.1)
            try await bench.eventually("it goes on") { await bench.tap(web1)?.state == .active }
            #expect(bench.kernel.destination("ids") == 20)
            #expect(bench.kernel.changes == ["destination ids 0", "destination ids 20"])
        }
    }

    @Test func withoutTheLimitItGoesOnAtOnce() async throws {
        let bench = try Bench(configuration("<limit rate='8mbit'/>"))
        bench.libvirt[web1.uuid] = web1.running()
        try await bench.run(untilActive: web1) {
            await bench.advance(1.1)
            try await bench.settle()
            sent(bench, "ids", 50_000_000)
            await bench.advance(1.1)
            try await bench.eventually("it is stopped") { bench.kernel.destination("ids") == 0 }
            try await bench.reload(configuration(""))
            try await bench.eventually("it goes on") { bench.kernel.destination("ids") == 20 }
            #expect(await bench.tap(web1)?.state == .active)
            sent(bench, "ids", 50_000_000)
            await bench.advance(1.1)
            try await bench.settle()
            #expect(bench.kernel.destination("ids") == 20)
        }
    }
}
