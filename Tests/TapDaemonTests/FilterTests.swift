// SPDX-License-Identifier: LGPL-2.1-or-later

import Synchronization
import TapControl
import TapModel
import Testing

@testable import TapDaemon

/// While a filter is compiled nothing that copies changes, and nobody else waits.
@Suite struct FilterTests {
    let web1 = TestDomain(1)
    let web2 = TestDomain(2)

    private func tap(_ filter: String, _ more: String = "") -> String { "<v:tap to='ids' \(more)><v:filter>\(filter)</v:filter></v:tap>" }

    private func filter(_ bench: Bench) -> String? {
        bench.kernel.state.withLock { state in
            state.attachments.values.first { $0.spec?.domainName == "web1" }?.spec?.options.filter
        }
    }

    @Test func aFilterIsCompiledAndAttached() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running(tap("tcp"))
        try await bench.run(untilActive: web1) {
            #expect(filter(bench) == "tcp" && bench.filters.asked == ["tcp"])
            #expect(await bench.tap(web1)?.state == .active)
        }
    }

    @Test func theOldOneCopiesUntilTheNewOneIsThere() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running(tap("tcp"))
        bench.filters.hold("udp")
        try await bench.run(untilActive: web1) {
            bench.libvirt[web1.uuid] = web1.running(tap("udp"))
            await bench.advance(2)
            await bench.event(web1)
            try await bench.eventually("the new one is compiled") { bench.filters.asked == ["tcp", "udp"] }
            for _ in 1...3 {
                await bench.advance(2)
                await bench.connect()
                try await bench.settle()
            }
            let pending = await bench.tap(web1)
            #expect(pending?.state == .pending && pending?.reason == .filterPending)
            #expect(pending?.interfaces.map(\.state) == [.active])
            #expect(await bench.reconciler.status().taps.count == 1)
            #expect(filter(bench) == "tcp" && bench.filters.asked == ["tcp", "udp"])
            bench.filters.release("udp")
            try await bench.eventually("it is exchanged") { filter(bench) == "udp" }
        }
        #expect(bench.kernel.programChanges == ["attach web1/ids", "replace web1/ids"])
    }

    @Test func whatIsAttachedIsAdoptedWhenTheFilterIsKnownAgain() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running(tap("tcp"))
        try await bench.run(untilActive: web1) {
        }
        let again = try Bench(sharing: bench)
        bench.kernel.forgetChanges()
        bench.filters.hold("tcp")
        try await again.run {
            await again.connect()
            try await again.eventually("it is compiled") { bench.filters.asked == ["tcp", "tcp"] }
            try await again.settle()
            bench.filters.release("tcp")
            try await again.eventually("it is active") { await again.tap(web1)?.state == .active }
        }
        #expect(bench.kernel.programChanges.isEmpty)
    }

    @Test func aSlowFilterDelaysNobodyElse() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running(tap("slow", "name='a'") + tap("slow too", "name='b'") + "<v:tap to='span'/>")
        bench.libvirt[web2.uuid] = web2.running(tap("tcp"))
        bench.filters.hold("slow")
        try await bench.run {
            await bench.connect()
            try await bench.eventually("all others are attached") {
                bench.kernel.attached == ["web1/span both > span", "web2/ids both > ids"]
            }
            // One at a time, so that another domain's waits for one of them at most.
            #expect(!bench.filters.asked.contains("slow too"))
            // Nor does status, beyond the time that most filters take.
            try await bench.settle()
            await bench.advance(FilterTable.usualTime)
            try await bench.eventually("no work is due") { await !bench.reconciler.isWorkDue }
            bench.filters.release("slow")
            try await bench.eventually("both are attached") { bench.kernel.attached.count == 4 }
        }
    }

    @Test func aBadFilterIsShownAndEndsWhatWasThere() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running(tap("tcp"))
        bench.filters.fail("tpc", Failure(.invalidFilter, "libpcap does not accept the filter: syntax error"))
        try await bench.run(untilActive: web1) {
            bench.libvirt[web1.uuid] = web1.running(tap("tpc"))
            await bench.advance(2)
            await bench.event(web1)
            try await bench.eventually("it is gone") { bench.kernel.attached.isEmpty }
            let failed = await bench.tap(web1)
            #expect(failed?.state == .failed && failed?.reason == .invalidFilter && failed?.message?.contains("syntax error") == true)
            // The same words come to the same.
            for _ in 1...3 {
                await bench.advance(20)
                await bench.connect()
                try await bench.settle()
            }
            #expect(bench.filters.asked == ["tcp", "tpc"])
        }
    }

    @Test func aHostThatCannotCompileIsTriedAgain() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running(tap("tcp"))
        bench.filters.fail("vlan", Failure(.permissionDenied, "no CAP_NET_RAW"))
        try await bench.run(untilActive: web1) {
            bench.libvirt[web1.uuid] = web1.running(tap("vlan"))
            await bench.advance(2)
            await bench.event(web1)
            try await bench.eventually("it fails") { await bench.tap(web1)?.reason == .permissionDenied }
            try await bench.settle()
            #expect(bench.kernel.attached.isEmpty, "the former one is not asked for any more")
            #expect(bench.filters.asked == ["tcp", "vlan"])
            bench.filters.fail("vlan", nil)
            await bench.advance(FilterTable.retryInterval + 1)
            try await bench.eventually("it is tried again") { filter(bench) == "vlan" }
        }
    }

    @Test func whatTheVerifierFindsTooLargeIsNotTriedAgain() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running(tap("tcp"))
        try await bench.run(untilActive: web1) {
            bench.kernel.state.withLock { $0.failures = [Failure(.filterTooLarge, "too large for the verifier")] }
            bench.libvirt[web1.uuid] = web1.running(tap("huge"))
            await bench.advance(2)
            await bench.event(web1)
            try await bench.eventually("the older one is gone") { bench.kernel.attached.isEmpty }
            for _ in 1...3 {
                await bench.advance(11)
                await bench.event(web1)
                try await bench.settle()
            }
            #expect(await bench.tap(web1)?.reason == .filterTooLarge)
            #expect(await bench.tap(web1)?.state == .failed)
        }
        #expect(bench.kernel.programChanges == ["attach web1/ids", "replace web1/ids", "detach web1/ids"])
    }

    @Test func whatNobodyAsksForIsForgotten() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running(tap("tcp"))
        try await bench.run(untilActive: web1) {
            bench.libvirt[web1.uuid] = web1.running(tap("udp"))
            await bench.advance(2)
            await bench.event(web1)
            try await bench.eventually("it is exchanged") { filter(bench) == "udp" }
            #expect(await Array(bench.reconciler.filters.results.keys) == ["udp"])
            bench.libvirt[web1.uuid] = web1.running("")
            await bench.advance(2)
            await bench.event(web1)
            try await bench.eventually("it is gone") { bench.kernel.attached.isEmpty }
            await bench.advance(2)
            await bench.connect()
            try await bench.eventually("nothing is left") { await bench.reconciler.filters.results.isEmpty }
        }
    }

    // MARK: - The hook

    @Test func theHookWaitsForAFilter() async throws {
        let bench = try Bench()
        bench.filters.hold("tcp")
        let answer = Task { await bench.reconciler.hook(operation: "start", xml: web1.xml(tap("tcp", "required='yes'"))) }
        try await bench.eventually("it is compiled") { bench.filters.asked == ["tcp"] }
        // Others get in between.
        #expect(await bench.reconciler.hook(operation: "start", xml: web2.xml(TestDomain.tap)).allow)
        #expect(bench.kernel.attached == ["web2/ids both > ids"])
        bench.filters.release("tcp")
        #expect(await answer.value.allow)
        #expect(bench.kernel.attached == ["web1/ids both > ids", "web2/ids both > ids"])
    }

    @Test(arguments: [true, false])
    func butOnlyBriefly(_ isRequired: Bool) async throws {
        let bench = try Bench()
        bench.filters.hold("slow")
        let xml = web1.xml(tap("slow", "name='a' required='\(isRequired ? "yes" : "no")'") + "<v:tap to='span'/>")
        // It is answered, although the filter is not there before the end of the test.
        let answer = await bench.whileTimePasses { await bench.reconciler.hook(operation: "start", xml: xml) }
        #expect(answer.allow == !isRequired)
        #expect(answer.lines.contains { $0.contains(isRequired ? "required tap a is not in place: filter-pending" : "tap a: pending") })
        #expect(bench.kernel.attached == ["web1/span both > span"])
        bench.filters.release("slow")
    }

    @Test func onlyAStartWaits() async throws {
        let bench = try Bench()
        bench.filters.hold("slow")
        let began = bench.now
        await bench.whileTimePasses { _ = await bench.reconciler.hook(operation: "start", xml: web1.xml(tap("slow"))) }
        #expect(bench.now - began > 0.9)
        // It would never end if it waited: no time passes.
        _ = await bench.reconciler.hook(operation: "reconnect", xml: web1.xml(tap("slow")))
        bench.filters.release("slow")
    }
}
