// SPDX-License-Identifier: LGPL-2.1-or-later

import Synchronization
import TapModel
import Testing

@testable import TapDaemon

/// What the daemon does when the kernel does not do as it should.
@Suite struct KernelChangeTests {
    let web1 = TestDomain(1)
    let web2 = TestDomain(2)

    @Test func whatFailedIsTriedAgain() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running()
        bench.libvirt[web2.uuid] = web2.shutOff()
        bench.kernel.state.withLock { $0.failures = Array(repeating: Failure(.attachFailed, "no memory"), count: 3) }
        try await bench.run {
            await bench.connect()
            try await bench.eventually("it failed") { await bench.tap(web1)?.message == "no memory" }
            #expect(await bench.tap(web1)?.reason == .attachFailed)
            // Nobody else has to wait for it.
            bench.libvirt[web2.uuid] = web2.running("<v:tap to='span'/>")
            for _ in 1...3 {
                await bench.advance(11)
                await bench.event(web2)
                try await bench.settle()
            }
            try await bench.eventually("both are attached") { bench.kernel.attached == ["web1/ids both > ids", "web2/span both > span"] }
            #expect(await bench.tap(web1)?.state == .active)
        }
    }

    @Test func aKernelThatCannotBeUsedIsUsedAgainLater() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running()
        try await bench.run {
            bench.kernel.state.withLock { $0.trouble = Failure(.bpffsNotMounted, "no bpffs") }
            await bench.connect()
            try await bench.settle()
            try await bench.eventually("status says why") { await bench.tap(web1)?.reason == .bpffsNotMounted }
            bench.kernel.state.withLock { $0.trouble = nil }
            await bench.advance(61)
            try await bench.eventually("it is attached") { bench.kernel.attached.count == 1 }
            try await bench.eventually("status knows") { await bench.tap(web1)?.state == .active }
        }
    }

    @Test func theDestinationMapFollowsTheDevices() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running()
        try await bench.run(untilActive: web1) {
            try await bench.settle()
            bench.kernel.forgetChanges()
            bench.kernel.remove("mon0")
            await bench.reconciler.devicesChanged()
            #expect(await bench.tap(web1)?.reason == .destinationDown)
            bench.kernel.add(Bench.monitor(77, "mon0"))
            await bench.reconciler.devicesChanged()
            #expect(await bench.tap(web1)?.state == .active)
            await bench.reconciler.devicesChanged()
        }
        #expect(bench.kernel.changes == ["destination ids 0", "destination ids 77"])
    }

    @Test func whatIsRemovedFromABusyHostIsSeenAsSoon() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running()
        try await bench.run(untilActive: web1) {
            // Others hold what the look waits for.
            bench.slowKernel(by: 0.7)
            for _ in 1...3 {
                await bench.advance(2)
                try await bench.settle()
            }
            bench.slowKernel(by: 0)
            bench.kernel.forgetChanges()
            bench.kernel.sabotage()
            await bench.advance(2)
            try await bench.eventually("it is put back") { bench.kernel.programChanges == ["replace web1/ids"] }
        }
    }

    @Test func aFightIsGivenUpAfterFiveRounds() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running()
        try await bench.run(untilActive: web1) {
            for _ in 1...8 {
                try await bench.settle()
                bench.kernel.sabotage()
                await bench.advance(2)
                await bench.event(web1)
                try await bench.settle()
            }
            #expect(await bench.tap(web1)?.reason == .detachedRepeatedly)
            let restored = bench.kernel.changes.count { $0.hasPrefix("replace") }
            #expect((4...5).contains(restored), "\(restored)")
            // Once in a while it is tried all the same.
            await bench.advance(RemovalHistory<AttachmentID>.window + 1)
            await bench.event(web1)
            try await bench.eventually("it is put back") { await bench.tap(web1)?.state == .active }
            #expect(bench.kernel.changes.count { $0.hasPrefix("replace") } == restored + 1)
        }
    }

    /// Each attachment makes the kernel wait, so a storm of changes is merged: the first at once, then one per second.
    @Test func aStormOfChangesIsMerged() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running()
        try await bench.run(untilActive: web1) {
            try await bench.settle()
            await bench.advance(2)
            try await bench.settle()
            bench.kernel.forgetChanges()
            let start = bench.now
            let directions = ["inbound", "outbound", "both"]
            // Four seconds, ten changes in each.
            for step in 0..<40 {
                bench.libvirt[web1.uuid] = web1.running("<v:tap to='ids' direction='\(directions[step % 3])'/>")
                await bench.event(web1)
                await bench.advance(0.1)
                try await Task.sleep(for: .milliseconds(5))
            }
            let storm = bench.kernel.programChanges.count
            #expect((2...Int(bench.now - start) + 2).contains(storm))
            await bench.advance(2)
            try await bench.eventually("the last change stands") { bench.kernel.attached == ["web1/ids \(directions[39 % 3]) > ids"] }
        }
    }

    /// As after a downgrade.
    @Test func whatALaterVersionAttachedIsLeftAlone() async throws {
        let bench = try Bench()
        let domain = TestDomain(1)
        bench.libvirt[domain.uuid] = domain.running("")
        let text = domain.uuid.hex + "000000ff" + String(repeating: "0", count: 16)
        let id = AttachmentID(directory: text)!
        bench.kernel.state.withLock {
            $0.attachments[id] = ObservedAttachment(id: id, spec: nil, hooks: [:], isCurrentBuild: false, isOfLaterVersion: true)
        }
        let logged = { bench.log.lines.count { $0.contains("a later version of virt-tap attached something to ifindex 255") } }
        try await bench.run {
            await bench.connect()
            try await bench.eventually("it is logged") { logged() == 1 }
            await bench.event(domain)
            try await bench.settle()
            await bench.reconciler.request(.all)
            try await bench.settle()
            #expect(!bench.kernel.changes.contains { $0.hasPrefix("detach") })
            #expect(logged() == 1)
        }
    }

    @Test func whatIsHalfMadeIsRemoved() async throws {
        let bench = try Bench()
        let id = AttachmentID(directory: String(repeating: "0", count: 56))!
        bench.kernel.state.withLock { $0.attachments[id] = ObservedAttachment(id: id, spec: nil, hooks: [:], isCurrentBuild: false) }
        try await bench.run {
            await bench.connect()
            try await bench.eventually("it is removed") { bench.kernel.changes == ["detach nothing"] }
        }
    }
}
