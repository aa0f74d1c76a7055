// SPDX-License-Identifier: LGPL-2.1-or-later

import Synchronization
import TapModel
import Testing

@testable import TapDaemon

/// An idle host's journal is empty, and what went wrong stands in it once.
@Suite struct LogTests {
    let web1 = TestDomain(1)

    @Test func whereNothingHappensNothingIsLogged() async throws {
        let bench = try Bench(Bench.configuration.replacing("<virt-tap>", with: "<virt-tap><resync interval='1'/>"))
        bench.libvirt[web1.uuid] = web1.running("<v:tap to='ids'/><v:tap to='nowhere'/>")
        try await bench.run {
            await bench.connect()
            try await bench.eventually("it was looked at everything") {
                bench.log.lines.contains { $0.hasPrefix("looked at every domain: 1 tap") }
            }
            bench.log.forget()
            for _ in 1...20 {
                let asked = bench.libvirt.state.withLock { $0.asked }
                await bench.advance(1.1)
                try await bench.eventually("and again") { bench.libvirt.state.withLock { $0.asked } > asked + 1 }
                try await bench.settle()
            }
            #expect(bench.log.lines == [])
            #expect(bench.log.debugLines.count { $0.hasPrefix("looked at every domain") } >= 10, "it was not looked at everything")
            // What is another than before is worth a line.
            bench.libvirt[web1.uuid] = web1.running()
            await bench.advance(1.1)
            try await bench.eventually("the news is logged") { bench.log.lines.contains("looked at every domain: 1 tap(s) active") }
        }
    }

    @Test func framesThatAreTakenForCopiesAreToldOfOnce() async throws {
        let bench = try Bench(Bench.configuration.replacing("<virt-tap>", with: "<virt-tap><resync interval='60'/>"))
        bench.libvirt[web1.uuid] = web1.running()
        var monitor = Bench.monitor(20, "mon0")
        monitor.isLinkElsewhere = true
        bench.kernel.add(monitor)
        try await bench.run(untilActive: web1) {
            let id = try #require(bench.kernel.state.withLock { $0.attachments.keys.first })
            func lookAgain(_ marked: UInt64, after seconds: Double = 60.1) async throws {
                bench.kernel.state.withLock {
                    $0.counters[id] = [.inbound: DirectionCounters(marked: Counter(packets: marked, bytes: marked * 60))]
                }
                let asked = bench.libvirt.state.withLock { $0.asked }
                await bench.advance(seconds)
                try await bench.eventually("it was looked again") { bench.libvirt.state.withLock { $0.asked } > asked }
                try await bench.settle()
            }
            func warnings() -> [String] { bench.log.lines.filter { $0.contains("had the mark of copies") } }
            for marked in [0, 5, 9] as [UInt64] { try await lookAgain(marked) }
            #expect(warnings().count == 1 && warnings().first?.hasPrefix("web1: tap ids: 5 frames to the guest (vnet1, since ") == true)
            let status = try #require(await bench.tap(web1))
            #expect(status.state == .active && status.warnings.first { $0.reason == .foreignMark }?.message.hasPrefix("9 frames ") == true)
            // It ends, and is news when it begins again.
            try await lookAgain(9, after: 700)
            #expect(await bench.tap(web1)?.warnings.contains { $0.reason == .foreignMark } == false)
            try await lookAgain(10)
            #expect(warnings().count == 2)
        }
    }

    @Test func aLibvirtThatListsNothingIsToldOfOnce() async throws {
        let bench = try Bench()
        bench.libvirt.mood = .fails
        try await bench.run {
            await bench.connect()
            try await bench.eventually("it is logged") { bench.log.lines.contains { $0.hasPrefix("domains not listed") } }
            for _ in 1...5 {
                let asked = bench.libvirt.state.withLock { $0.asked }
                await bench.advance(5.1)
                try await bench.eventually("it was tried again") { bench.libvirt.state.withLock { $0.asked } > asked + 1 }
            }
            #expect(bench.log.lines.count { $0.hasPrefix("domains not listed") } == 1)
        }
    }

    @Test func aRefusalStandsInTheLogOnce() async throws {
        let bench = try Bench()
        let why = "the kernel's verifier refused the program (Permission denied): R1 !read_ok."
        let refusal = Failure(.attachFailed, why, about: "tap \"ids\" of web1 on vnet1")
        bench.libvirt[web1.uuid] = web1.running()
        bench.kernel.state.withLock {
            $0.failures = Array(repeating: refusal, count: 3)
            $0.verifierLog = "0: (bf) r6 = r1\n1: (61) r7 = *(u32 *)(r1 +0)\nR1 !read_ok\n"
        }
        try await bench.run {
            await bench.connect()
            try await bench.eventually("it has failed") { await bench.tap(web1)?.state == .failed }
            for left in [1, 0] {
                await bench.advance(10.1)
                await bench.event(web1)
                try await bench.eventually("it was tried again") { bench.kernel.state.withLock { $0.failures.count } == left }
            }
            #expect(bench.log.lines.filter { $0.contains("verifier refused") } == [refusal.message])
            #expect(bench.log.lines.contains("web1: tap ids is failed"))
            #expect(
                bench.log.debugLines.filter { $0.contains("the verifier:") } == [
                    "web1: tap ids on net0 (vnet1): the verifier: 0: (bf) r6 = r1",
                    "web1: tap ids on net0 (vnet1): the verifier: 1: (61) r7 = *(u32 *)(r1 +0)",
                    "web1: tap ids on net0 (vnet1): the verifier: R1 !read_ok",
                ])
            await bench.advance(10.1)
            try await bench.eventually("it copies") { await bench.tap(web1)?.state == .active }
        }
    }

    /// After an upgrade: the program of the build before cannot be exchanged.
    @Test func whatCopiesOnAfterARefusalIsTold() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running()
        try await bench.run(untilActive: web1) {
        }
        bench.kernel.state.withLock {
            for id in $0.attachments.keys { $0.attachments[id]?.isCurrentBuild = false }
            $0.failures = [Failure(.attachFailed, "vnet1 inbound: refused")]
        }
        let next = try Bench(sharing: bench)
        try await next.run {
            await next.connect()
            try await next.eventually("status says so") { await next.tap(web1)?.state == .degraded }
            let tap = try #require(await next.tap(web1))
            #expect(tap.reason == .attachFailed)
            #expect(tap.message == "vnet1 inbound: refused. The program before it (build test) goes on copying the same.")
            try await next.eventually("the log, too, a moment later") {
                next.log.lines.contains("web1: tap ids is degraded: The program before it (build test) goes on copying the same.")
            }
            #expect(bench.kernel.attached == ["web1/ids both > ids"])
        }
    }
}
