// SPDX-License-Identifier: LGPL-2.1-or-later

import Synchronization
import TapModel
import Testing

@testable import TapDaemon

/// Tunnels follow what the host's routes and neighbours do.
@Suite struct PathTests {
    let web1 = TestDomain(1)
    private static let remote: [UInt8] = [192, 0, 2, 10]

    private static let configuration = """
        <virt-tap>
          <policy><inline kinds='vxlan' remote='192.0.2.0/24'/></policy>
          <destination name='ids'><vxlan remote='192.0.2.10' vni='7'/></destination>
        </virt-tap>
        """

    private static func path(nextHop: String?, prefixLength: Int = 24) -> Result<UnderlayPath, Failure> {
        .success(
            UnderlayPath(
                ifindex: 20, device: "mon0", source: [192, 0, 2, 1], sourceMAC: MACAddress("02:00:00:00:00:0a")!, nextHop: remote,
                nextHopMAC: nextHop.flatMap { MACAddress($0) }, mtu: 1_500, prefixLength: prefixLength))
    }

    private func set(_ bench: Bench, _ path: Result<UnderlayPath, Failure>?) {
        bench.kernel.state.withLock { $0.paths[Self.remote] = path }
    }

    @Test func aNextHopThatComesLateOrChangesIsFollowed() async throws {
        let bench = try Bench(Self.configuration)
        bench.libvirt[web1.uuid] = web1.running()
        set(bench, Self.path(nextHop: nil))
        try await bench.run {
            await bench.connect()
            try await bench.eventually("nobody answers") { await bench.tap(web1)?.reason == .neighbourUnreachable }
            try await bench.eventually("it is attached all the same") { bench.kernel.attached.count == 1 }
            #expect(bench.kernel.destination("ids") == 0)
            set(bench, Self.path(nextHop: "02:00:00:00:00:0b"))
            await bench.reconciler.pathsChanged()
            try await bench.eventually("it copies") { await bench.tap(web1)?.state == .active }
            #expect(bench.kernel.destination("ids") == 20)
            bench.kernel.forgetChanges()
            set(bench, Self.path(nextHop: "02:00:00:00:00:0c"))
            // Also without an event.
            await bench.advance(6)
            try await bench.eventually("the new one is in the kernel") { bench.kernel.changes == ["destination ids 20"] }
            set(bench, .failure(Failure(.neighbourUnreachable, "no route")))
            await bench.reconciler.pathsChanged()
            try await bench.eventually("there is no route") { await bench.tap(web1)?.message?.contains("no route") == true }
            #expect(bench.kernel.destination("ids") == 0 && bench.kernel.programChanges.isEmpty)
        }
    }

    /// The network of the other machine goes, and only the default route is left.
    @Test func theDefaultRouteIsNotFollowed() async throws {
        let bench = try Bench(Self.configuration)
        bench.libvirt[web1.uuid] = web1.running()
        let byDefault = Self.path(nextHop: "02:00:00:00:00:0b", prefixLength: 0)
        set(bench, Self.path(nextHop: "02:00:00:00:00:0b"))
        try await bench.run(untilActive: web1) {
            #expect(await bench.reconciler.status().destinations.first?.warnings == [])
            set(bench, byDefault)
            await bench.reconciler.pathsChanged()
            try await bench.eventually("it is stopped") { await bench.tap(web1)?.reason == .defaultRoute }
            #expect(bench.kernel.destination("ids") == 0 && bench.kernel.programChanges == ["attach web1/ids"])
            // Not by having no route for a while, nor by a reload of what was there.
            set(bench, .failure(Failure(.neighbourUnreachable, "no route")))
            await bench.reconciler.pathsChanged()
            try await bench.eventually("there is no route") { await bench.tap(web1)?.reason == .neighbourUnreachable }
            set(bench, byDefault)
            try await bench.reload(Self.configuration)
            try await bench.eventually("it is stopped again") { await bench.tap(web1)?.reason == .defaultRoute }
            #expect(bench.kernel.destination("ids") == 0)
            // Who says so gets it.
            let accepted = Self.configuration.replacing("vni='7'", with: "vni='7' device='mon0'")
            try await bench.reload(accepted)
            try await bench.eventually("it copies again") { await bench.tap(web1)?.state == .active }
            #expect(bench.kernel.destination("ids") == 20)
            try await bench.reload(Self.configuration)
            try await bench.eventually("it is stopped without that") { await bench.tap(web1)?.reason == .defaultRoute }
            set(bench, Self.path(nextHop: "02:00:00:00:00:0b"))
            await bench.reconciler.pathsChanged()
            try await bench.eventually("its own route is back") { await bench.tap(web1)?.state == .active }
        }
    }

    @Test func theNextDaemonDoesNotFollowItEither() async throws {
        let bench = try Bench(Self.configuration)
        bench.libvirt[web1.uuid] = web1.running()
        set(bench, Self.path(nextHop: "02:00:00:00:00:0b", prefixLength: 0))
        try await bench.run {
            await bench.connect()
            // Nothing is known yet: it is set.
            try await bench.eventually("it copies") { await bench.tap(web1)?.state == .active }
            let destination = try #require(await bench.reconciler.status().destinations.first)
            #expect(destination.warnings.map(\.reason) == [.defaultRoute] && destination.device == "mon0")
        }
        bench.kernel.state.withLock { $0.specificRoutes = [Self.remote: 21] }
        let next = try Bench(Self.configuration, sharing: bench)
        bench.kernel.forgetChanges()
        try await next.run {
            await next.connect()
            try await next.eventually("it is stopped") {
                await next.tap(web1)?.message?.contains("had a route of its own, by mon1") == true
            }
            #expect(next.kernel.destination("ids") == 0)
            #expect(!next.kernel.changes.contains("destination ids 20"))
            // `purge` forgets everything.
            _ = try await next.reconciler.purge()
            try await next.reload(Self.configuration)
            try await next.eventually("it copies") { await next.tap(web1)?.state == .active }
        }
    }

    /// Its network goes before the first tap uses it.
    @Test func whatIsRefusedFromTheFirstTapOnStaysSo() async throws {
        let first = try Bench(Self.configuration)
        set(first, Self.path(nextHop: "02:00:00:00:00:0b"))
        try await first.run {
            await first.connect()
            try await first.eventually("its route is known") { await first.reconciler.status().destinations.first?.device == "mon0" }
            #expect(first.kernel.destination("ids") == nil, "what nothing uses is not set in the kernel")
            set(first, Self.path(nextHop: "02:00:00:00:00:0b", prefixLength: 0))
            await first.reconciler.pathsChanged()
            try await first.eventually("it is refused") { await first.reconciler.status().destinations.first?.reason == .defaultRoute }
        }
        // A daemon's life that ends before the first tap, and one that begins with it.
        for number in 1...2 {
            let next = try Bench(Self.configuration, sharing: first)
            next.libvirt[web1.uuid] = web1.running()
            try await next.run {
                await next.connect()
                try await next.eventually("daemon \(number) refuses it") {
                    await next.tap(web1)?.message?.contains("had a route of its own, by mon0") == true
                }
            }
        }
        #expect(first.kernel.destination("ids") == 0 && first.kernel.attached.count == 1)
        #expect(!first.kernel.changes.contains("destination ids 20"))
    }

    /// While it is refused, or has no route at all, the destination gets another name; its guest is off meanwhile.
    @Test(arguments: [false, true]) func anotherNameChangesNothing(hasNoRoute: Bool) async throws {
        let byDefault = Self.path(nextHop: "02:00:00:00:00:0b", prefixLength: 0)
        let first = try Bench(Self.configuration)
        first.libvirt[web1.uuid] = web1.running()
        set(first, Self.path(nextHop: "02:00:00:00:00:0b"))
        try await first.run(untilActive: web1) {
            set(first, hasNoRoute ? .failure(Failure(.neighbourUnreachable, "no route")) : byDefault)
            await first.reconciler.pathsChanged()
            try await first.eventually("it is stopped") { first.kernel.destination("ids") == 0 }
        }
        let renamed = Self.configuration.replacing("name='ids'", with: "name='ids2'")
        first.libvirt[web1.uuid] = web1.shutOff()
        let second = try Bench(renamed, sharing: first)
        try await second.run {
            await second.connect()
            try await second.eventually("nothing is attached") { first.kernel.attached.isEmpty }
            try await second.reload(renamed)
            try await second.eventually("the former name is forgotten") { first.kernel.destination("ids") == nil }
        }
        set(first, byDefault)
        let third = try Bench(renamed, sharing: first)
        third.libvirt[web1.uuid] = web1.running("<v:tap name='ids' to='ids2'/>")
        try await third.run {
            await third.connect()
            try await third.eventually("it is refused") {
                await third.tap(web1)?.message?.contains("had a route of its own, by mon0") == true
            }
        }
        #expect(first.kernel.destination("ids2") == 0 && !first.kernel.changes.contains("destination ids2 20"))
    }

    /// The BPF file system comes late, and with it what was set in the kernel before.
    @Test func nothingIsSentBeforeThatIsKnown() async throws {
        let bench = try Bench(Self.configuration)
        bench.libvirt[web1.uuid] = web1.running()
        set(bench, Self.path(nextHop: "02:00:00:00:00:0b", prefixLength: 0))
        bench.kernel.state.withLock { state in
            state.waysTrouble = Failure(.bpffsNotMounted, "no bpffs")
            state.specificRoutes = [Self.remote: 21]
        }
        try await bench.run {
            await bench.connect()
            try await bench.eventually("it is looked at") { await bench.tap(web1) != nil }
            #expect(bench.kernel.destination("ids") == nil)
            bench.kernel.state.withLock { $0.waysTrouble = nil }
            await bench.advance(6)
            try await bench.eventually("it is stopped") { await bench.tap(web1)?.reason == .defaultRoute }
            #expect(!bench.kernel.changes.contains("destination ids 20"))
        }
    }

    @Test func aNextHopOfManyIsAskedOnce() async throws {
        let destinations = (10...14).map { "<destination name='far\($0)'><vxlan remote='192.0.2.\($0)' vni='7'/></destination>" }
        let bench = try Bench("<virt-tap>\(destinations.joined())</virt-tap>")
        bench.kernel.state.withLock { state in
            for number in UInt8(10)...14 { state.paths[[192, 0, 2, number]] = Self.path(nextHop: "02:00:00:00:00:0b") }
        }
        try await bench.run {
            await bench.connect()
            try await bench.eventually("all are set") { await bench.reconciler.status().destinations.allSatisfy { $0.reason == nil } }
            let looks = bench.kernel.state.withLock { state in
                state.confirmed = []
                return state.clockLooks
            }
            await bench.advance(6)
            try await bench.eventually("it is asked") { bench.kernel.state.withLock { $0.confirmed } == [Self.remote] }
            // The time in headers goes with that.
            #expect(bench.kernel.state.withLock { $0.clockLooks } == looks + 1)
        }
    }

    @Test func inlineOnesToo() async throws {
        let bench = try Bench(Self.configuration)
        let tap = "<v:tap name='ids'><v:destination><v:vxlan remote='192.0.2.11' vni='9'/></v:destination></v:tap>"
        bench.libvirt[web1.uuid] = web1.running(tap)
        let label = "vxlan:192.0.2.11:4789/9"
        let other: [UInt8] = [192, 0, 2, 11]
        bench.kernel.state.withLock { $0.paths[other] = Self.path(nextHop: nil) }
        try await bench.run {
            await bench.connect()
            try await bench.eventually("nobody answers") { await bench.tap(web1)?.reason == .neighbourUnreachable }
            bench.kernel.state.withLock { $0.paths[other] = Self.path(nextHop: "02:00:00:00:00:0b") }
            await bench.reconciler.pathsChanged()
            try await bench.eventually("it copies") { await bench.tap(web1)?.state == .active }
            #expect(bench.kernel.destination(label) == 20)
            #expect(await bench.reconciler.status().destinations.map(\.name) == ["ids", label])
            // Its link has no carrier, of which a path with a permanent neighbour says nothing.
            func plug(_ isIn: Bool) async {
                bench.kernel.state.withLock { state in
                    for index in state.devices.indices where state.devices[index].name == "mon0" { state.devices[index].hasCarrier = isIn }
                }
                await bench.reconciler.devicesChanged()
            }
            await plug(false)
            try await bench.eventually("the link is known to be down") { await bench.tap(web1)?.reason == .destinationDown }
            #expect(bench.kernel.destination(label) == 0)
            await plug(true)
            try await bench.eventually("it copies again") { await bench.tap(web1)?.state == .active }
            #expect(bench.kernel.destination(label) == 20)
        }
    }
}
