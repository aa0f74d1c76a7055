// SPDX-License-Identifier: LGPL-2.1-or-later

import TapControl
import TapModel
import Testing

@testable import TapDaemon

/// Copies that go to a sensor VM of this host, which starts, stops and moves as it likes.
@Suite struct SensorTests {
    let web1 = TestDomain(1)
    let sensor = TestDomain(2)

    private static let configuration = """
        <virt-tap>
          <destination name='ids'><domain name='web2' alias='net0'/></destination>
        </virt-tap>
        """

    private func bench() throws -> Bench {
        let bench = try Bench(Self.configuration)
        bench.libvirt[web1.uuid] = web1.running()
        bench.libvirt[sensor.uuid] = sensor.running("")
        return bench
    }

    private func destination(_ bench: Bench) -> UInt32? { bench.kernel.destination("ids") }

    @Test func oneMapUpdateFollowsIt() async throws {
        let bench = try bench()
        try await bench.run(untilActive: web1) {
            #expect(destination(bench) == 11)
            bench.kernel.forgetChanges()

            bench.kernel.remove(sensor.device)
            bench.libvirt[sensor.uuid] = sensor.shutOff()
            await bench.event(sensor, "stopped")
            try await bench.eventually("it is off") { await bench.tap(web1)?.reason == .destinationDown }
            #expect(destination(bench) == 0)

            bench.kernel.add(sensor.netdev(40))
            bench.libvirt[sensor.uuid] = sensor.running("")
            await bench.advance(2)
            await bench.event(sensor, "started")
            try await bench.eventually("it is back") { await bench.tap(web1)?.state == .active }
            #expect(destination(bench) == 40)
            #expect(bench.kernel.changes == ["destination ids 0", "destination ids 40"])
        }
    }

    /// Its taps copy before libvirt's events say that it runs.
    @Test func itsHookBringsItBack() async throws {
        let bench = try bench()
        try await bench.run(untilActive: web1) {
            bench.kernel.remove(sensor.device)
            bench.libvirt[sensor.uuid] = sensor.shutOff()
            await bench.event(sensor, "stopped")
            try await bench.eventually("it is off") { destination(bench) == 0 }
            bench.kernel.add(sensor.netdev(41))
            #expect(await bench.reconciler.hook(operation: "start", xml: sensor.xml("")).allow)
            #expect(destination(bench) == 41)
        }
    }

    @Test func aRestartKeepsWhatItCannotAskFor() async throws {
        let bench = try bench()
        try await bench.run(untilActive: web1) {
        }
        let next = try Bench(Self.configuration, sharing: bench)
        next.kernel.forgetChanges()
        try await next.run {
            try await next.settle()
            #expect(destination(next) == 11)
            next.libvirt.mood = .knowsNobody
            await next.connect()
            try await next.settle()
            #expect(destination(next) == 11, "an empty list is no evidence")
            next.kernel.remove(sensor.device)
            await next.reconciler.devicesChanged()
            #expect(destination(next) == 0)
        }
    }

    @Test func whereItHasGoneIsSaid() async throws {
        let bench = try bench()
        try await bench.run(untilActive: web1) {
            bench.kernel.remove(sensor.device)
            await bench.reconciler.devicesChanged()
            bench.libvirt[sensor.uuid] = nil
            await bench.event(sensor, "stopped migrated")
            try await bench.eventually("it is elsewhere") { await bench.tap(web1)?.reason == .destinationElsewhere }
            #expect(destination(bench) == 0)
        }
    }
}
