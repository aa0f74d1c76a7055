// SPDX-License-Identifier: LGPL-2.1-or-later

import Synchronization
import TapModel
import Testing

@testable import TapDaemon

/// When monitor ports are made and removed.
@Suite struct PortTests {
    private static func configuration(_ ports: String..., mark: String = "") -> String {
        "<virt-tap>\(mark)" + ports.map { "<destination name='ids\($0.last!)'><monitor name='\($0)'/></destination>" }.joined()
            + "</virt-tap>"
    }

    private func bench(_ configuration: String = configuration("span0")) throws -> (Bench, TestDomain) {
        let bench = try Bench(configuration)
        let web = TestDomain(1)
        bench.libvirt[web.uuid] = web.running("<v:tap to='ids0'/>")
        return (bench, web)
    }

    @Test func theyAreMadeBeforeLibvirtHasSaidAnything() async throws {
        let (bench, web) = try bench()
        try await bench.run {
            #expect(bench.kernel.changes.contains("port span0"))
            await bench.connect()
            try await bench.eventually("active") { await bench.tap(web, "ids0")?.state == .active }
            let destination = try #require(await bench.reconciler.status().destinations.first)
            #expect(destination.kind == .monitor && destination.device == "span0" && destination.state == .active)
            let own = try #require(try bench.kernel.device(named: "virttap-span0"))
            #expect(bench.kernel.destination("ids0") == own.index)
        }
    }

    @Test func theNextDaemonTakesWhatIsThere() async throws {
        let (first, _) = try bench()
        try await first.run {}
        first.kernel.forgetChanges()
        let next = try Bench(Self.configuration("span0"), sharing: first)
        try await next.run { #expect(!next.kernel.changes.contains { $0.contains("port") }) }
        #expect(!next.log.lines.contains { $0.contains("monitor port") })
    }

    @Test func aReloadMakesAndRemovesThem() async throws {
        let (bench, _) = try bench()
        try await bench.run {
            try await bench.reload(Self.configuration("span1"))
            try await bench.eventually("the one for the other") {
                bench.kernel.changes.contains("port span1") && bench.kernel.changes.contains("no port span0")
            }
        }
    }

    @Test func aConfigurationThatCannotBeUsedChangesNothing() async throws {
        let (first, _) = try bench()
        try await first.run {}
        first.kernel.forgetChanges()
        let next = try Bench("<virt-tap><nonsense/></virt-tap>", sharing: first)
        try await next.run {
            try await next.settle()
            #expect(!next.kernel.changes.contains { $0.contains("port") })
            try await next.reload(Self.configuration("span1"))
            try await next.eventually("then it counts") { next.kernel.changes.contains("no port span0") }
        }
    }

    @Test func aPurgeMakesNoneUntilTheNextReload() async throws {
        let (bench, web) = try bench()
        try await bench.run(untilActive: web, "ids0") {
            _ = try await bench.reconciler.purge()
            _ = try bench.kernel.removePorts(but: [])
            bench.kernel.forgetChanges()
            await bench.reconciler.devicesChanged()
            try await bench.settle()
            #expect(!bench.kernel.changes.contains("port span0"))
            let destination = try #require(await bench.reconciler.status().destinations.first)
            #expect(destination.reason == .destinationDown && destination.message?.contains("`systemctl reload virt-tapd`") == true)
            try await bench.reload(Self.configuration("span0"))
            try await bench.eventually("made again") { bench.kernel.changes.contains("port span0") }
        }
    }

    @Test func oneThatIsRemovedIsMadeAgainAtOnceAndSaid() async throws {
        let (bench, web) = try bench()
        try await bench.run(untilActive: web, "ids0") {
            bench.kernel.remove("virttap-span0", "span0")
            await bench.reconciler.devicesChanged()
            let own = try #require(try bench.kernel.device(named: "virttap-span0"))
            #expect(bench.kernel.destination("ids0") == own.index)
            #expect(bench.log.lines.contains { $0.contains("somebody removed monitor port span0; it was made again") })
        }
    }

    @Test func oneThatIsRemovedAgainAndAgainIsMadeAgainEveryTenMinutes() async throws {
        let (bench, _) = try bench()
        try await bench.run {
            func remove() async {
                bench.kernel.remove("virttap-span0", "span0")
                await bench.reconciler.devicesChanged()
            }
            try await bench.eventually("made") { bench.kernel.changes.contains("port span0") }
            for _ in 0..<20 { await remove() }
            #expect(bench.kernel.changes.count { $0 == "port span0" } == RemovalHistory<String>.limit)
            let destination = try #require(await bench.reconciler.status().destinations.first)
            #expect(destination.reason == .detachedRepeatedly)
            await bench.advance(RemovalHistory<String>.window + 1)
            try await bench.eventually("made once more") { await bench.reconciler.status().destinations.first?.state == .active }
            bench.kernel.forgetChanges()
            await remove()
            #expect(!bench.kernel.changes.contains("port span0"))
        }
    }

    @Test func oneWhoseProgramsAreTakenAwayAgainAndAgainGetsNoCopies() async throws {
        let (bench, web) = try bench()
        try await bench.run(untilActive: web, "ids0") {
            bench.kernel.state.withLock { $0.portGuardsTaken = RemovalHistory<String>.limit }
            try await bench.eventually("given up") {
                await bench.advance(2)
                _ = await bench.reconciler.sweep()
                return await bench.reconciler.status().destinations.first?.reason == .detachedRepeatedly
            }
            #expect(bench.kernel.destination("ids0") == 0)
            #expect(bench.kernel.state.withLock { $0.portGuardsTaken } == 0)
            await bench.advance(RemovalHistory<String>.window + 1)
            _ = await bench.reconciler.sweep()
            try await bench.eventually("looked at once more") { await bench.tap(web, "ids0")?.state == .active }
        }
    }

    @Test func noCopyGoesToOneThatIsNotKeptApart() async throws {
        let (bench, web) = try bench()
        try await bench.run(untilActive: web, "ids0") {
            bench.kernel.state.withLock { $0.portTrouble = Failure(.attachFailed, "monitor port span0: no memory") }
            await bench.advance(2)
            try await bench.eventually("stopped") { bench.kernel.destination("ids0") == 0 }
            #expect(await bench.tap(web, "ids0")?.reason == .attachFailed)
            // Every sweep would be once a second.
            let tries = bench.kernel.state.withLock { $0.portTries }
            for _ in 0..<3 {
                await bench.advance(2)
                try await bench.settle()
            }
            #expect(bench.kernel.state.withLock { $0.portTries } == tries)
            bench.kernel.state.withLock { $0.portTrouble = nil }
            await bench.advance(PortTable.retryInterval)
            try await bench.eventually("on again") { bench.kernel.destination("ids0") != 0 }
            #expect(bench.log.lines.count { $0.hasPrefix("monitor port span0: no memory") } == 1)
        }
    }

    @Test(arguments: [Reason.attachFailed, .bpffsNotMounted])
    func copiesGoOnToOneThatCannotBeLookedAt(_ reason: Reason) async throws {
        let (bench, web) = try bench()
        try await bench.run(untilActive: web, "ids0") {
            let own = bench.kernel.destination("ids0")
            bench.kernel.forgetChanges()
            let trouble = Failure(reason, "too many open files")
            bench.kernel.state.withLock { state in
                if reason == .attachFailed { state.portsUnseen = trouble } else { state.trouble = trouble }
            }
            for _ in 0..<3 {
                await bench.advance(2)
                try await bench.settle()
            }
            #expect(bench.kernel.destination("ids0") == own && !bench.kernel.changes.contains("destination ids0 0"))
            #expect(await bench.reconciler.ports["span0"].flatMap { try? $0.get() }?.unseen == trouble)
            #expect(bench.log.lines.count { $0.hasPrefix("monitor port span0 could not be read") } == 1)
            bench.kernel.state.withLock { ($0.portsUnseen, $0.trouble) = (nil, nil) }
            await bench.advance(2)
            try await bench.eventually("seen again") { await bench.reconciler.ports["span0"].flatMap { try? $0.get() }?.unseen == nil }
            #expect(!bench.kernel.changes.contains("destination ids0 0"))
        }
    }

    @Test func whatTapsStillHaveTheFormerMarkGetIn() async throws {
        let (bench, web) = try bench()
        try await bench.run(untilActive: web, "ids0") {
            bench.kernel.forgetChanges()
            bench.kernel.state.withLock { $0.marksOfPorts = [:] }
            let mark = PacketMark(value: 0x40, mask: 0x40)
            try await bench.reload(Self.configuration("span0", mark: "<mark value='0x40'/>"))
            try await bench.eventually("both, then the one") {
                bench.kernel.state.withLock { $0.marksOfPorts["span0"] } == [[mark, PacketMark()], [mark]]
            }
        }
    }

    @Test func aReloadHasThemKnowTheNewMarkBeforeAnythingElseHappens() async throws {
        let (bench, web) = try bench()
        try await bench.run(untilActive: web, "ids0") {
        }
        // Nobody works any more: what is done is done by the reload itself.
        bench.kernel.state.withLock { $0.marksOfPorts = [:] }
        let mark = PacketMark(value: 0x40, mask: 0x40)
        try await bench.reload(Self.configuration("span0", mark: "<mark value='0x40'/>"))
        #expect(bench.kernel.state.withLock { $0.marksOfPorts["span0"] } == [[mark, PacketMark()]])
    }

    @Test func aReloadSaysWhichCannotBeMade() async throws {
        let (bench, _) = try bench()
        try await bench.run {
            bench.kernel.state.withLock { $0.portTrouble = Failure(.destinationUnsafe, "monitor port span1 needs a device") }
            try await bench.reload(Self.configuration("span1"))
            #expect(await bench.reconciler.daemonWarnings.isEmpty)
            #expect(await bench.reconciler.portWarnings.map(\.reason) == [.destinationUnsafe])
        }
    }

    @Test func aGuestsChangeIsNoticedThatComesWithAPorts() async throws {
        let (bench, web) = try bench()
        try await bench.run(untilActive: web, "ids0") {
            // Both are gone before anybody looks, and the sweep comes before the kernel's event.
            let before = await bench.reconciler.devices
            bench.kernel.remove("virttap-span0", "span0")
            bench.kernel.state.withLock { state in
                for index in state.devices.indices where !state.devices[index].isOurs { state.devices[index].mtu = 9_000 }
            }
            await bench.reconciler.keepPorts(isComplete: false)
            let after = await bench.reconciler.devices
            for device in before.all where !device.isOurs && device.name != "span0" { #expect(after[device.index] == device) }
            #expect(after.all.contains { $0.name == "virttap-span0" })
        }
    }

    @Test func oneOfWhichOurEndIsRenamedGoesOn() async throws {
        let (bench, web) = try bench()
        try await bench.run(untilActive: web, "ids0") {
            let own = bench.kernel.destination("ids0")
            bench.kernel.state.withLock { state in
                for index in state.devices.indices where state.devices[index].name == "virttap-span0" { state.devices[index].name = "mine" }
            }
            bench.kernel.state.withLock { $0.portsUnseen = Failure(.attachFailed, "the fake finds it by its name alone") }
            await bench.reconciler.devicesChanged()
            #expect(bench.kernel.destination("ids0") == own)
            #expect(await bench.tap(web, "ids0")?.state == .active)
        }
    }

    @Test func namesOfOurEndsFit() {
        #expect(MonitorPort.device(of: "span0") == "virttap-span0")
        #expect(MonitorPort.device(of: "seven-b") == "virttap-seven-b")
        let names = ["eight-by", "a-long-name-000", "a-long-name-001", "cut", "cut-in"].map(MonitorPort.device)
        #expect(Set(names).count == 5 && names.allSatisfy { $0.utf8.count == 15 && HostDevice.isOurs($0) })
        #expect(!names.contains("virttap-cut"))
    }
}
