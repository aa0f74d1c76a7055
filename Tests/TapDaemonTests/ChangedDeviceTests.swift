// SPDX-License-Identifier: LGPL-2.1-or-later

import Synchronization
import TapModel
import Testing

@testable import TapDaemon

/// Devices that others change while they are tapped, and names that two domains have.
@Suite struct ChangedDeviceTests {
    let web1 = TestDomain(1)
    let web2 = TestDomain(2)

    private func bench() throws -> Bench {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running()
        return bench
    }

    private func rename(_ old: String, _ new: String, _ bench: Bench) async {
        bench.kernel.change(old) { $0.name = new }
        await bench.reconciler.devicesChanged()
    }

    @Test func aRenamedDeviceIsLookedUpAlone() async throws {
        let bench = try bench()
        try await bench.run(untilActive: web1) {
            await rename(web1.device, "wan0", bench)
            try await bench.settle()
            let reads = bench.kernel.state.withLock { $0.deviceReads }
            bench.kernel.change("wan0") { $0.mac = MACAddress("02:11:22:33:44:55") }
            await bench.event(web1)
            try await bench.settle()
            #expect(await bench.reconciler.devices["wan0"]?.mac == MACAddress("02:11:22:33:44:55"))
            #expect(bench.kernel.state.withLock { $0.deviceReads } == reads)
        }
    }

    @Test func itIsTappedWhateverIsChanged() async throws {
        let bench = try bench()
        try await bench.run(untilActive: web1) {
            try await bench.settle()
            bench.kernel.forgetChanges()
            let steps: [(String, @Sendable (inout HostDevice) -> Void)] = [
                ("it is called wan0 now", { $0.name = "wan0" }),
                ("its address is 02:11:22:33:44:55 now", { $0.mac = MACAddress("02:11:22:33:44:55") }),
                ("it is a port of br9 now", { $0.masterName = "br9" }),
                ("it is no port of br0 any more", { ($0.masterName, $0.masterKind) = (nil, nil) }),
                ("it is down", { $0.isUp = false }),
            ]
            var name = web1.device
            for (remark, change) in steps {
                bench.kernel.change(name, change)
                if bench.kernel.device(10)?.name == "wan0" { name = "wan0" }
                // Whichever comes first, the kernel's event or libvirt's.
                await bench.event(web1)
                try await bench.settle()
                await bench.reconciler.devicesChanged()
                try await bench.settle()
                let tap = try #require(await bench.tap(web1))
                #expect(tap.state == .active && tap.interfaces.first?.device == name)
                #expect(tap.warnings.contains { $0.reason == .deviceChanged && $0.message.contains(remark) }, "\(remark): \(tap.warnings)")
            }
            await bench.reconciler.handle(.disconnected(why: "restarted"))
            await bench.connect()
            try await bench.settle()
            #expect(await bench.tap(web1)?.state == .active)
            #expect(bench.kernel.programChanges == [])
        }
        // The next daemon, before and after libvirt has answered.
        let next = try Bench(sharing: bench)
        next.libvirt[web1.uuid] = web1.running()
        try await next.run {
            try await next.eventually("it is shown") { await next.tap(web1)?.state == .active }
            await next.connect()
            try await next.settle()
            let tap = try #require(await next.tap(web1))
            #expect(tap.state == .active && tap.interfaces.first?.device == "wan0")
            #expect(
                tap.warnings.contains { $0.message.contains("it is called wan0 now; its address is 02:11:22:33:44:55 now and was fe:54") })
            #expect(next.kernel.programChanges == [])
            // Another tap is attached to it, too.
            next.libvirt[web1.uuid] = web1.running("<v:tap to='ids'/><v:tap to='span'/>")
            await next.event(web1)
            try await next.eventually("both are attached") { next.kernel.attached.count == 2 }
            next.kernel.remove("wan0")
            await next.reconciler.devicesChanged()
            try await next.eventually("it is gone") { next.kernel.attached.isEmpty }
            #expect(await next.tap(web1)?.reason == .deviceGone)
        }
    }

    /// A daemon that taps nothing yet knows it from before.
    @Test func aRenamedDeviceIsFoundThatWasNotTapped() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running("")
        try await bench.run {
            await bench.connect()
            try await bench.settle()
            await rename(web1.device, "wan0", bench)
            bench.libvirt[web1.uuid] = web1.running()
            await bench.event(web1)
            try await bench.eventually("it is attached") { await bench.tap(web1)?.state == .active }
            #expect(bench.kernel.attached.count == 1)
        }
    }

    @Test func aNewDeviceWithTheOldNameWaitsForTheEndOfTheOldOne() async throws {
        let bench = try bench()
        try await bench.run(untilActive: web1) {
            await rename(web1.device, "wan0", bench)
            bench.kernel.forgetChanges()
            var new = web1.netdev(50)
            new.hasCarrier = false
            bench.kernel.add(new)
            await bench.reconciler.devicesChanged()
            try await bench.settle()
            #expect(await bench.tap(web1)?.interfaces.first?.ifindex == 10)
            #expect(bench.kernel.programChanges == [])
            bench.kernel.remove("wan0")
            await bench.reconciler.devicesChanged()
            try await bench.eventually("nobody holds the new one") { await bench.tap(web1)?.reason == .deviceNotOwned }
            bench.kernel.change(web1.device) { $0.hasCarrier = true }
            await bench.reconciler.devicesChanged()
            try await bench.eventually("it is tapped") { await bench.tap(web1)?.interfaces.first?.ifindex == 50 }
            #expect(await bench.tap(web1)?.state == .active)
        }
    }

    /// A device with the same number, of the same kind and name, that nobody saw come: its link is dead.
    @Test func anotherDeviceWithItsNumberIsProvedAnew() async throws {
        let bench = try bench()
        try await bench.run(untilActive: web1) {
            await rename(web1.device, "wan0", bench)
            try await bench.settle()
            bench.kernel.forgetChanges()
            bench.kernel.state.withLock { state in
                for id in state.attachments.keys { state.attachments[id]?.hooks = [.inbound: .deviceGone, .outbound: .deviceGone] }
            }
            await bench.advance(2)
            await bench.event(web1)
            try await bench.eventually("wan0 is nobody's, found by its dead link") { await bench.tap(web1)?.reason == .deviceGone }
            #expect(bench.kernel.attached.isEmpty)
        }
        // The same with no daemon in between: a number alone proves nothing.
        let other = try self.bench()
        try await other.run(untilActive: web1) {
        }
        other.kernel.sabotage()
        other.kernel.change(web1.device) { $0.name = "wan0" }
        let next = try Bench(sharing: other)
        next.libvirt[web1.uuid] = web1.running()
        try await next.run {
            await next.connect()
            try await next.eventually("wan0 is nobody's") { await next.tap(web1)?.reason == .deviceGone }
        }
    }

    @Test func twoDomainsThatNameOneDevice() async throws {
        let bench = try Bench()
        bench.libvirt[web1.uuid] = web1.running()
        bench.libvirt[web2.uuid] = web2.running(device: web1.device, number: 1)
        try await bench.run {
            await bench.connect()
            try await bench.settle()
            // Listed at once, neither has anything.
            for domain in [web1, web2] {
                #expect(await bench.tap(domain)?.reason == .deviceNotOwned)
                #expect(await bench.tap(domain)?.message?.contains("names it as well") == true)
            }
            #expect(bench.kernel.attached.isEmpty)
            bench.libvirt[web2.uuid] = web2.shutOff()
            await bench.event(web2)
            try await bench.eventually("it is web1's alone") { await bench.tap(web1)?.state == .active }
            // Which keeps it, whoever comes with all that can be forged.
            bench.libvirt[web2.uuid] = web2.running(device: web1.device, number: 1)
            await bench.event(web2)
            try await bench.eventually("web2 does not get it") { await bench.tap(web2)?.reason == .deviceNotOwned }
            #expect(await bench.tap(web1)?.state == .active)
            #expect(bench.kernel.attached == ["web1/ids both > ids"])
        }
        let next = try Bench(sharing: bench)
        try await next.run {
            await next.connect()
            try await next.eventually("web2 does not get it") { await next.tap(web2)?.reason == .deviceNotOwned }
            #expect(await next.tap(web1)?.state == .active)
        }
    }

    // MARK: Sensor VMs

    private static let sensors = "<virt-tap><destination name='ids'><domain name='web2' alias='net0'/></destination></virt-tap>"

    @Test func aSensorsDeviceIsFollowed() async throws {
        let bench = try Bench(Self.sensors)
        bench.libvirt[web1.uuid] = web1.running()
        bench.libvirt[web2.uuid] = web2.running("")
        try await bench.run(untilActive: web1) {
            bench.kernel.forgetChanges()
            await rename(web2.device, "in0", bench)
            bench.kernel.change("in0") { $0.mac = MACAddress("02:11:22:33:44:55") }
            await bench.reconciler.devicesChanged()
            await bench.event(web2)
            try await bench.settle()
            #expect(await bench.tap(web1)?.state == .active)
            #expect(bench.kernel.changes == [])
        }
        let next = try Bench(Self.sensors, sharing: bench)
        try await next.run {
            await next.connect()
            try await next.settle()
            #expect(await next.tap(web1)?.state == .active)
            #expect(!next.kernel.changes.contains("destination ids 0"), "\(next.kernel.changes)")
            #expect(next.kernel.destination("ids") == 11)
        }
        // Where another domain, too, has no device it could be either's.
        next.kernel.change(web1.device) { $0.name = "out0" }
        let third = try Bench(Self.sensors, sharing: next)
        let web3 = TestDomain(3)
        third.libvirt[web3.uuid] = web3.running("")
        try await third.run {
            await third.connect()
            try await third.eventually("nothing is sent") { third.kernel.destination("ids") == 0 }
            try await third.eventually("its tap waits for a device") { await third.tap(web1)?.reason == .deviceGone }
        }
    }
}
