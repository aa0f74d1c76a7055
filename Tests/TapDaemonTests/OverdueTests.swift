// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@testable import TapDaemon

/// What should have been called and was not, and what was there and is gone.
@Suite struct OverdueTests {
    let web1 = TestDomain(1)
    let web2 = TestDomain(2)
    private let required = "<v:tap to='ids' required='yes'/>"

    private func start(_ domain: TestDomain, _ taps: String, on bench: Bench) async throws {
        bench.libvirt[domain.uuid] = domain.running(taps)
        await bench.event(domain, "started booted")
        await bench.reconciler.handle(.started(domain.uuid, comesFromElsewhere: false))
        try await bench.settle()
    }

    private func said(_ text: String, _ bench: Bench) -> Int { bench.log.lines.count { $0.contains(text) } }

    @Test func ofAGuestThatWasEndedMeanwhileNothingRunsOn() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running()
        try await bench.run {
            await bench.connect()
            try await bench.settle()
            bench.libvirt[web1.uuid]?.persistentXML = web1.xml("")
            await bench.event(web1, "defined updated")
            try await bench.eventually("it is seen") { await bench.reconciler.tapLosses.nextLoss != nil }
            bench.libvirt[web1.uuid] = DomainSnapshot(
                uuid: web1.uuid, name: "web1", isRunning: false, isPersistent: true, liveXML: [], persistentXML: web1.xml(""))
            await bench.event(web1, "stopped")
            try await bench.eventually("it is off") { await bench.reconciler.domains[web1.uuid]?.view.isRunning == false }
            await bench.advance(TapLossWatch.patience)
            try await bench.eventually("it is said") { said("gone from its next start on", bench) == 1 }
            #expect(said("What runs copies on", bench) == 0)
            #expect(said("virsh edit", bench) == 1)
        }
    }

    @Test func aCallWhoseXMLCannotBeReadIsACall() async throws {
        let bench = try Bench(isHookInstalled: true)
        try await bench.run {
            await bench.connect()
            await bench.advance(HookWatch.settling)
            _ = await bench.reconciler.hook(operation: "start", xml: web1.xml(required).dropLast(9).map(\.self))
            try await start(web1, required, on: bench)
            await bench.advance(HookWatch.patience)
            try await bench.eventually("it is judged") { bench.log.debugLines.contains("web1: the hook was called at its start") }
            #expect(await bench.reconciler.status().hook.missed == nil)
            #expect(await bench.tap(web1)?.warnings.contains { $0.reason == .hookNotCalled } != true)
        }
    }

    @Test func aGuestThatStartsWithoutTheHookIsSaidOfOnce() async throws {
        let bench = try Bench(isHookInstalled: true)
        try await bench.run {
            await bench.connect()
            await bench.advance(HookWatch.settling)
            try await start(web1, required, on: bench)
            #expect(await bench.reconciler.status().daemon.warnings == [])
            await bench.advance(HookWatch.patience)
            try await bench.eventually("it is noticed") { await bench.reconciler.status().hook.missed != nil }
            let document = await bench.reconciler.status()
            #expect(document.daemon.warnings?.map(\.reason) == [.hookNotCalled])
            #expect(document.daemon.warnings?.first?.message.contains("libvirt started web1 at ") == true)
            #expect(await bench.tap(web1)?.state == .active)
            #expect(await bench.tap(web1)?.warnings.first { $0.reason == .hookNotCalled }?.message.contains("required") == true)
            #expect(said("no call of the hook came", bench) == 1)
            #expect(said("tap ids is required, and the guest was started without", bench) == 1)

            try await start(web2, TestDomain.tap, on: bench)
            await bench.advance(HookWatch.patience)
            try await bench.eventually("of this one, too") {
                await bench.reconciler.status().daemon.warnings?.first?.message.contains("started web2") == true
            }
            #expect(await bench.tap(web2)?.warnings.first { $0.reason == .hookNotCalled }?.message.contains("first packets") == true)
            #expect(said("no call of the hook came", bench) == 1)

            // libvirt was restarted, and calls it.
            _ = await bench.reconciler.hook(operation: "reconnect", xml: web1.xml(required))
            #expect(await bench.reconciler.status().daemon.warnings == [])
            #expect(await bench.reconciler.status().hook.missed == nil)
            #expect(said("libvirt calls the hook", bench) == 1)
            // This run was not held, whatever is called now.
            #expect(await bench.tap(web1)?.warnings.contains { $0.reason == .hookNotCalled } == true)
            bench.libvirt[web1.uuid] = web1.shutOff()
            await bench.event(web1, "stopped")
            try await bench.settle()
            _ = await bench.reconciler.hook(operation: "start", xml: web1.xml(required))
            try await start(web1, required, on: bench)
            await bench.advance(HookWatch.patience)
            try await bench.settle()
            #expect(await bench.tap(web1)?.warnings.contains { $0.reason == .hookNotCalled } == false)
            #expect(await bench.reconciler.status().hook.missed == nil)
        }
    }

    /// Of a hook that is not there one thing is said, and not two.
    @Test func aHookThatIsMissingIsMissingAndNotUncalled() async throws {
        let bench = try Bench(isHookInstalled: false)
        try await bench.run {
            await bench.connect()
            await bench.advance(HookWatch.settling)
            try await start(web1, required, on: bench)
            await bench.advance(HookWatch.patience)
            try await bench.eventually("it is noticed") { said("the guest was started without", bench) == 1 }
            let document = await bench.reconciler.status()
            #expect(document.daemon.warnings == [])
            #expect(document.hook.missed == nil)
            #expect(await bench.tap(web1)?.warnings.map(\.reason) == [.hookMissing])
        }
    }

    @Test func anotherLibvirtsCallsSayNothing() async throws {
        let bench = try Bench(isHookInstalled: true)
        try await bench.run {
            await bench.connect()
            await bench.advance(HookWatch.settling)
            try await start(web1, TestDomain.tap, on: bench)
            await bench.advance(HookWatch.patience)
            try await bench.eventually("it is noticed") { await bench.reconciler.status().hook.missed != nil }
            _ = await bench.reconciler.hook(operation: "start", xml: web2.xml(TestDomain.tap))
            _ = await bench.reconciler.hook(operation: "started", xml: web2.xml(TestDomain.tap))
            #expect(await bench.reconciler.status().hook.missed != nil)
        }
    }

    @Test func whatIsWrittenAnewIsSaidOfOnceAndWhatIsTakenAwayIsNot() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running()
        bench.libvirt[web2.uuid] = web2.running()
        try await bench.run {
            await bench.connect()
            try await bench.settle()
            for domain in [web1, web2] {
                bench.libvirt[domain.uuid]?.persistentXML = domain.xml("")
                await bench.event(domain, "defined updated")
            }
            await bench.reconciler.handle(.metadataWritten(web2.uuid, namespace: "urn:virt-tap:1"))
            await bench.reconciler.handle(.metadataWritten(web1.uuid, namespace: "http://openstack.org/xmlns/libvirt/nova/1.1"))
            try await bench.settle()
            await bench.advance(TapLossWatch.patience)
            try await bench.eventually("it is said") { said("web1: tap ids is gone from its next start on", bench) == 1 }
            bench.libvirt[web1.uuid] = DomainSnapshot(
                uuid: web1.uuid, name: "web1", isRunning: false, isPersistent: true, liveXML: [], persistentXML: web1.xml(""))
            await bench.event(web1, "stopped")
            try await bench.settle()
            await bench.advance(TapLossWatch.patience)
            try await bench.settle()
            #expect(said("is gone", bench) == 1)
            #expect(said("What runs copies on", bench) == 1)
        }
    }

    @Test func waitingIsOneWaitWhateverIsWaitedFor() {
        func record(_ state: TapState, _ reason: Reason?, _ running: Bool, _ before: TapStateRecord?, _ now: Int64) -> TapStateRecord {
            var tap = TapStatus(
                domain: "web1", uuid: web1.uuid, name: .fallback, origin: .domain, definition: .both, destination: "ids", direction: .both,
                required: false, enabled: true, state: state, reason: reason, message: nil)
            tap.running = running
            return TapStateRecord(tap, after: before, at: Timestamp(seconds: now))
        }
        let off = record(.pending, .domainNotRunning, false, nil, 1)
        let gone = record(.pending, .deviceGone, true, off, 100)
        #expect(gone.since.seconds == 100)
        let filtered = record(.pending, .filterPending, true, gone, 105)
        #expect(filtered.since.seconds == 100)
        #expect(record(.active, nil, true, filtered, 110).since.seconds == 110)
        let next = record(.pending, .nextStart, true, nil, 1)
        #expect(record(.pending, .deviceGone, true, next, 50).since.seconds == 50)
    }
}
