// SPDX-License-Identifier: LGPL-2.1-or-later

import Synchronization
import TapControl
import TapModel
import Testing

@testable import TapDaemon

/// A guest stands still while its hook runs, and libvirt holds its lock: the daemon may ask nobody.
@Suite struct HookPathTests {
    let web1 = TestDomain(1)
    let web2 = TestDomain(2)

    @Test func aLibvirtThatHangsDoesNotDelayIt() async throws {
        let bench = try Bench()
        bench.libvirt.mood = .hangs
        try await bench.run {
            await bench.connect()
            try await bench.eventually("the loop waits for libvirt") { bench.libvirt.state.withLock { $0.asked } == 1 }
            let asked = bench.libvirt.state.withLock { $0.asked }
            let lines = await bench.reconciler.hook(operation: "start", xml: web1.xml(TestDomain.tap)).lines
            #expect(lines.isEmpty)
            #expect(bench.kernel.attached == ["web1/ids both > ids"])
            #expect(await bench.tap(web1)?.state == .active)
            #expect(bench.libvirt.state.withLock { $0.asked } == asked)
        }
    }

    @Test func itSaysWhatDoesNotWork() async throws {
        let bench = try Bench()
        let lines = await bench.reconciler.hook(operation: "start", xml: web1.xml("<v:tap to='idz'/><v:tap to='ids'/>")).lines
        #expect(lines.count == 1)
        #expect(lines.first?.contains("no-such-destination") == true)
        #expect(bench.kernel.attached == ["web1/ids both > ids"])
        #expect(await bench.reconciler.hook(operation: "start", xml: Array("<domain".utf8)).lines.first?.contains("cannot be read") == true)
    }

    @Test(arguments: ["prepare", "migrate", "restore", "stopped", "release", "later"])
    func operationsWithoutADeviceAttachNothing(_ operation: String) async throws {
        let bench = try Bench()
        #expect(await bench.reconciler.hook(operation: operation, xml: web1.xml(TestDomain.tap)).lines.isEmpty)
        #expect(bench.kernel.changes.isEmpty)
    }

    /// An orchestrator may start a guest again under another UUID the moment that it is gone.
    @Test func aDeviceThatWasReleasedIsAnothersAtOnce() async throws {
        let bench = try Bench()
        let required = "<v:tap to='ids' required='yes'/>"
        let heir = web2.xml(required, device: web1.device, number: 1)
        #expect(await bench.reconciler.hook(operation: "start", xml: web1.xml(required)).allow)
        #expect(await !bench.reconciler.hook(operation: "start", xml: heir).allow)
        _ = await bench.reconciler.hook(operation: "release", xml: web1.xml(required))
        #expect(await bench.reconciler.hook(operation: "start", xml: heir).allow)
        #expect(bench.kernel.attached.contains("web2/ids both > ids"))
    }

    /// As after somebody gave it another name in its definition.
    @Test func whoWaitsForANameThatAStartGaveUpIsLookedAt() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running()
        try await bench.run(untilActive: web1) {
            bench.libvirt[web2.uuid] = web2.running(device: web1.device, number: 1)
            await bench.event(web2, "started booted")
            try await bench.eventually("it is in the status") { await bench.tap(web2)?.interfaces.first?.reason == .deviceNotOwned }
            bench.libvirt[web1.uuid] = web1.running(device: "vnet7")
            _ = await bench.reconciler.hook(operation: "start", xml: web1.xml(TestDomain.tap, device: "vnet7"))
            try await bench.eventually("the other has it") { bench.kernel.attached == ["web2/ids both > ids"] }
        }
    }

    /// libvirt calls a domain shut off until its start has come to an end.
    @Test func aStaleAnswerDoesNotEndAStart() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.shutOff()
        bench.libvirt[web2.uuid] = web2.running()
        try await bench.run {
            await bench.connect()
            try await bench.eventually("the other one is attached") { bench.kernel.attached == ["web2/ids both > ids"] }
            _ = await bench.reconciler.hook(operation: "start", xml: web1.xml(TestDomain.tap))
            for _ in 1...3 {
                await bench.event(web1, "stale")
                await bench.connect()
                try await bench.settle()
                await bench.advance(2)
            }
            #expect(bench.kernel.attached == ["web1/ids both > ids", "web2/ids both > ids"])
            #expect(!bench.kernel.changes.contains { $0.hasPrefix("detach") })
            // It never came to run: in the end libvirt is right.
            await bench.advance(KnownDomain.startGrace)
            await bench.event(web1)
            try await bench.eventually("it is detached") { bench.kernel.attached == ["web2/ids both > ids"] }
        }
    }

    @Test func aStartThatFailsLeavesNothing() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.shutOff()
        try await bench.run {
            await bench.connect()
            _ = await bench.reconciler.hook(operation: "start", xml: web1.xml(TestDomain.tap))
            #expect(bench.kernel.attached.count == 1)
            bench.kernel.remove(web1.device)
            _ = await bench.reconciler.hook(operation: "release", xml: web1.xml(TestDomain.tap))
            await bench.advance(2)
            try await bench.eventually("its pins are collected") { bench.kernel.attached.isEmpty }
            try await bench.eventually("it is known as shut off") { await bench.tap(web1)?.running == false }
        }
    }

    @Test func aReconnectFindsEverythingAsItIs() async throws {
        let bench = try Bench()
        _ = await bench.reconciler.hook(operation: "start", xml: web1.xml(TestDomain.tap))
        bench.kernel.forgetChanges()
        for operation in ["started", "reconnect", "start"] {
            _ = await bench.reconciler.hook(operation: operation, xml: web1.xml(TestDomain.tap))
        }
        #expect(bench.kernel.changes.isEmpty)
    }
}
