// SPDX-License-Identifier: LGPL-2.1-or-later

import Synchronization
import TapModel
import Testing

@testable import TapDaemon

/// An event only means: look again. What the kernel copies follows from what is, not from what was said about it.
@Suite struct LevelTriggerTests {
    /// Each alone would cost milliseconds on a host with many devices.
    @Test func domainsThatAreGoneTogetherHaveTheDevicesReadOnce() async throws {
        let bench = try Bench()
        let domains = (1...6).map(TestDomain.init)
        for domain in domains {
            if domain.number > 2 { bench.kernel.add(domain.netdev(UInt32(9 + domain.number))) }
            bench.libvirt[domain.uuid] = domain.running()
        }
        try await bench.run {
            await bench.connect()
            try await bench.eventually("all are attached") { bench.kernel.attached.count == 6 }
            try await bench.settle()
            bench.libvirt.mood = .waits
            let asked = bench.libvirt.state.withLock { $0.asked }
            for domain in domains { await bench.event(domain, "undefined") }
            try await bench.eventually("all are asked for") { bench.libvirt.state.withLock { $0.asked } == asked + 6 }
            let reads = bench.kernel.state.withLock { $0.deviceReads }
            // The answers take a moment: what is read then is news to all who asked.
            await bench.advance(0.1)
            bench.libvirt.mood = .knowsNobody
            try await bench.eventually("all are gone") { await domains.map(\.uuid).allSatisfy(bench.reconciler.domains.isAbsent) }
            #expect(bench.kernel.state.withLock { $0.deviceReads } == reads + 1)
        }
    }

    let web1 = TestDomain(1)
    let web2 = TestDomain(2)

    @Test func statusSaysWhetherLibvirtHasListedAllDomains() async throws {
        let bench = try Bench()
        try await bench.run {
            #expect(await bench.reconciler.status().daemon.complete == false)
            await bench.connect()
            try await bench.settle()
            #expect(await bench.reconciler.status().daemon.complete == true)
            await bench.reconciler.handle(.disconnected(why: "gone"))
            #expect(await bench.reconciler.status().daemon.complete == true)
        }
    }

    @Test func aTapFollowsItsDomain() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running()
        try await bench.run(untilActive: web1) {
            #expect(await bench.tap(web1)?.state == .active)
            bench.libvirt[web1.uuid] = web1.running("<v:tap to='ids' direction='inbound'/>")
            await bench.advance(2)
            await bench.event(web1)
            try await bench.eventually("it is changed in place") { bench.kernel.attached == ["web1/ids inbound > ids"] }
            bench.libvirt[web1.uuid] = web1.running("")
            await bench.advance(2)
            await bench.event(web1)
            try await bench.eventually("it is gone") { bench.kernel.attached.isEmpty }
        }
        #expect(bench.kernel.programChanges == ["attach web1/ids", "replace web1/ids", "detach web1/ids"])
    }

    /// Sixty changes, of which some are reported twice, some late and some never: after the next resync all is as it is.
    @Test(arguments: [1, 2, 3, 4, 5])
    func lostDoubledAndReorderedEventsEndInTheSameState(_ seed: UInt64) async throws {
        var random = SplitMix(state: seed)
        let bench = try Bench()
        let states = [
            "", "<v:tap to='ids'/>", "<v:tap to='span'/>", "<v:tap to='ids'/><v:tap to='span' direction='outbound'/>", "<v:tap to='no'/>",
        ]
        try await bench.run {
            await bench.connect()
            for _ in 1...60 {
                let domain = TestDomain(Int.random(in: 1...2, using: &random))
                bench.libvirt[domain.uuid] =
                    Bool.random(using: &random) ? domain.running(states.randomElement(using: &random)!) : domain.shutOff()
                for _ in 0..<Int.random(in: 0...2, using: &random) {
                    await bench.event(TestDomain(Int.random(in: 1...2, using: &random)))
                }
                if Int.random(in: 0...3, using: &random) == 0 { await bench.advance(0.4) }
            }
            bench.libvirt[web1.uuid] = web1.running(states[3])
            bench.libvirt[web2.uuid] = web2.running(states[1])
            await bench.advance(2)
            await bench.connect()
            try await bench.eventually("the kernel has what is desired") {
                bench.kernel.attached == ["web1/ids both > ids", "web1/span outbound > span", "web2/ids both > ids"]
            }
            try await bench.settle()
            bench.kernel.forgetChanges()
            // And doing it all again changes nothing.
            await bench.advance(2)
            await bench.connect()
            try await bench.settle()
        }
        #expect(bench.kernel.changes.isEmpty)
    }

    @Test(arguments: [FakeLibvirt.Mood.fails, .knowsNobody])
    func nothingIsRemovedWithoutEvidence(_ mood: FakeLibvirt.Mood) async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running()
        bench.libvirt[web2.uuid] = web2.running()
        try await bench.run {
            await bench.connect()
            try await bench.eventually("both are attached") { bench.kernel.attached.count == 2 }
            try await bench.settle()
            bench.kernel.forgetChanges()
            bench.libvirt.mood = mood
            for round in 1...3 {
                await bench.advance(100)
                await bench.event(web1)
                if round == 2 { await bench.reconciler.handle(.disconnected(why: "test")) }
                if round == 3 { await bench.connect() }
                try await bench.reload()
                try await bench.settle()
            }
            #expect(bench.kernel.attached.count == 2)
            #expect(bench.kernel.changes.isEmpty)
            // The device is gone: that is evidence.
            bench.kernel.remove(web1.device)
            await bench.reconciler.devicesChanged()
            await bench.advance(2)
            try await bench.eventually("the dead pins are collected") { bench.kernel.attached == ["web2/ids both > ids"] }
            // And so is libvirt's own word.
            bench.libvirt.mood = .answers
            bench.libvirt[web2.uuid] = web2.shutOff()
            await bench.advance(2)
            await bench.event(web2)
            try await bench.eventually("the other is detached") { bench.kernel.attached.isEmpty }
        }
    }

    @Test func whatIsPinnedIsAdopted() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running()
        try await bench.run(untilActive: web1) {
        }
        // A second daemon on the same kernel, which libvirt does not answer yet.
        let next = try Bench()
        next.kernel.state.withLock { [pinned = bench.kernel.state.withLock { $0.attachments }] in $0.attachments = pinned }
        next.libvirt[web1.uuid] = web1.running()
        next.libvirt.mood = .fails
        try await next.run {
            await next.connect()
            try await next.settle()
            let early = await next.reconciler.status().taps
            #expect(early.map(\.domain) == ["web1"])
            next.libvirt.mood = .answers
            await next.advance(10)
            try await next.eventually("the domain is known") { await next.tap(web1)?.running == true }
            try await next.settle()
            #expect(await next.tap(web1)?.state == .active)
        }
        #expect(next.kernel.changes == ["destination ids 20"])
    }

    @Test func thePolicyDetachesAndAttaches() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running()
        try await bench.run(untilActive: web1) {
            try await bench.settle()
            try await bench.reload("<virt-tap><policy taps='no'/></virt-tap>")
            await bench.advance(2)
            try await bench.eventually("it is detached") { bench.kernel.attached.isEmpty }
            #expect(await bench.tap(web1)?.reason == .disabledByHost)
            try await bench.reload()
            await bench.advance(2)
            try await bench.eventually("it is attached again") { bench.kernel.attached.count == 1 }
        }
    }

    @Test func purgePausesUntilTheNextReload() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running()
        try await bench.run(untilActive: web1) {
            try await bench.settle()
            #expect(try await bench.reconciler.purge() == 1)
            await bench.advance(2)
            await bench.event(web1)
            await bench.connect()
            _ = await bench.reconciler.hook(operation: "start", xml: web1.xml(TestDomain.tap))
            try await bench.settle()
            #expect(bench.kernel.attached.isEmpty)
            #expect(await bench.tap(web1)?.state == .disabled)
            #expect(await bench.reconciler.status().daemon.paused == true)
            try await bench.reload()
            await bench.advance(2)
            try await bench.eventually("it is attached again") { bench.kernel.attached.count == 1 }
        }
    }

    /// The first domain that credibly names a device keeps it; when it gives it up, the other gets it.
    @Test func theFirstClaimOnADeviceStands() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running()
        try await bench.run(untilActive: web1) {
            bench.libvirt[web2.uuid] = web2.running(device: web1.device, number: 1)
            await bench.event(web2)
            try await bench.settle()
            await bench.advance(2)
            await bench.event(web1)
            try await bench.settle()
            #expect(bench.kernel.attached == ["web1/ids both > ids"])
            #expect(await bench.tap(web2)?.reason == .deviceNotOwned)
            bench.libvirt[web1.uuid] = web1.shutOff()
            await bench.event(web1)
            try await bench.settle()
            await bench.advance(2)
            try await bench.eventually("the other has it") { bench.kernel.attached == ["web2/ids both > ids"] }
        }
    }
}

/// A generator with a seed, so that a failure can be seen again (https://prng.di.unimi.it/splitmix64.c).
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
