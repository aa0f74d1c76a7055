// SPDX-License-Identifier: LGPL-2.1-or-later

import FoundationEssentials
import Synchronization
import TapControl
import TapHost
import TapModel
import Testing

@testable import TapDaemon

/// A daemon that comes up with a configuration that it cannot use.
@Suite struct UnconfiguredTests {
    let web1 = TestDomain(1)
    let web2 = TestDomain(2)
    static let broken = "<virt-tap><destination nmae='ids'/></virt-tap>"

    /// web1 is tapped by a daemon of before; then one comes up that cannot read its configuration.
    private func withoutConfiguration(_ body: (Bench) async throws -> Void) async throws {
        let before = try Bench()
        before.libvirt[web1.uuid] = web1.running()
        try await before.run(untilActive: web1) {
        }
        before.kernel.forgetChanges()
        let bench = try Bench(Self.broken, sharing: before)
        try await bench.run {
            await bench.connect()
            try await bench.eventually("the domain is known") { await bench.tap(web1)?.running == true }
            try await body(bench)
        }
    }

    @Test func whatIsInTheKernelStaysAndItSaysSo() async throws {
        try await withoutConfiguration { bench in
            for _ in 1...3 {
                await bench.advance(61)
                try await bench.settle()
            }
            #expect(bench.kernel.changes.isEmpty)
            let status = await bench.reconciler.status()
            #expect(status.config.loaded == nil && status.config.stale && status.config.message?.contains("nmae") == true)
            #expect(status.destinations.map(\.name) == ["ids"])
            let tap = try #require(await bench.tap(web1))
            #expect(tap.state == .degraded && tap.reason == .configInvalid && tap.interfaces.count == 1)
            #expect(tap.message?.contains("\(Bench.path): ") == true && tap.message?.contains("nmae") == true)
            #expect(status.taps.count == 1, "what is kept is shown once")
            #expect(bench.log.lines.count { $0.hasPrefix("configuration not loaded, taps in the kernel stay as they are") } == 1)
            #expect(bench.log.lines.contains("web1: tap ids is degraded: it copies on as before"))
        }
    }

    @Test func itEndsWhatTheDomainEnds() async throws {
        try await withoutConfiguration { bench in
            bench.libvirt[web1.uuid] = web1.shutOff()
            await bench.advance(2)
            await bench.event(web1)
            try await bench.settle()
            #expect(
                bench.kernel.attached == ["web1/ids both > ids"], "which libvirt is the host's is not known, and somebody holds the device")
            bench.kernel.state.withLock { $0.devices.removeAll { $0.name == web1.device } }
            await bench.advance(2)
            await bench.event(web1)
            try await bench.eventually("it is gone") { bench.kernel.attached.isEmpty }
        }
        // Its interface is another's by now.
        try await withoutConfiguration { bench in
            bench.libvirt[web1.uuid] = web1.running(device: "vnet9", number: 9)
            await bench.advance(2)
            await bench.event(web1)
            try await bench.eventually("it is gone") { bench.kernel.attached.isEmpty }
        }
        try await withoutConfiguration { bench in
            bench.libvirt[web1.uuid] = web1.running("")
            await bench.advance(2)
            await bench.event(web1)
            try await bench.eventually("it is gone") { bench.kernel.attached.isEmpty }
        }
    }

    /// Nor does a guest get another's traffic because nobody knows what the host wants.
    @Test func aDestinationThatBecomesAGuestsIsStopped() async throws {
        try await withoutConfiguration { bench in
            let index = UInt32(77)
            bench.kernel.state.withLock {
                $0.devices.append(HostDevice(index: index, name: web2.device, mac: MACAddress("02:00:00:00:00:77"), kind: .tap))
                $0.destinations["ids"]?.ifindex = index
            }
            await bench.reconciler.refreshDevices()
            #expect(await bench.reconciler.hook(operation: "start", xml: web2.xml("")).allow)
            #expect(bench.kernel.state.withLock { $0.destinations["ids"]?.ifindex } == 0)
            #expect(
                bench.log.lines.contains {
                    $0.hasPrefix("destination ids: vnet2 is the device of a running domain; nothing is copied there")
                })
            try await bench.reload()
            try await bench.eventually("it is as the configuration says") {
                bench.kernel.state.withLock { $0.destinations["ids"]?.ifindex } ?? 0 != 0
            }
        }
    }

    @Test func statusTellsWhatIsCopiedAndNotWhatIsAskedFor() async throws {
        try await withoutConfiguration { bench in
            bench.libvirt[web1.uuid] = web1.running("<v:tap to='ids' direction='inbound'/>")
            await bench.advance(2)
            await bench.event(web1)
            try await bench.eventually("it says so") {
                await bench.tap(web1)?.message?.hasPrefix("it copies as before, as shown here") == true
            }
            let tap = try #require(await bench.tap(web1))
            #expect(tap.direction == .both && tap.state == .degraded)
            #expect(bench.kernel.attached == ["web1/ids both > ids"])
        }
    }

    @Test func guestsStartUnlessATapIsRequired() async throws {
        try await withoutConfiguration { bench in
            let answer = await bench.reconciler.hook(
                operation: "start", xml: web2.xml("<v:tap to='ids'><v:filter>port 53</v:filter></v:tap>"))
            #expect(answer.allow)
            // Nothing was waited for, a filter neither, or it would not have ended: no time passes.
            #expect(
                answer.lines.first?.hasPrefix("tap ids: failed: config-invalid: the host's configuration cannot be used: \(Bench.path): ")
                    == true)
            let refused = await bench.reconciler.hook(operation: "start", xml: web2.xml("<v:tap to='ids' required='yes'/>"))
            #expect(!refused.allow)
            #expect(refused.lines.first?.hasPrefix("required tap ids is not in place: config-invalid: the host's configuration") == true)
            #expect(bench.kernel.changes.isEmpty)
        }
    }

    @Test func aGoodOneIsTakenAndAllGoesOn() async throws {
        try await withoutConfiguration { bench in
            bench.libvirt[web2.uuid] = web2.running()
            await bench.event(web2)
            try await bench.eventually("it waits") { await bench.tap(web2)?.reason == .configInvalid }
            #expect(await bench.tap(web2)?.state == .failed)
            try await bench.reload()
            try await bench.eventually("it is attached") { await bench.tap(web2)?.state == .active }
            try await bench.eventually("the first one, too, is as it was") { await bench.tap(web1)?.state == .active }
            #expect(bench.kernel.programChanges == ["attach web2/ids"], "what was right was not touched")
            #expect(await bench.reconciler.status().config.loaded != nil)
        }
    }

    @Test func theFileIsReadAgainUntilItIsGood() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "virt-tap-\(UInt32.random(in: 0 ... .max))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "config.xml").path
        func write(_ text: String) throws { try text.write(toFile: path, atomically: false, encoding: .utf8) }
        try await withoutConfiguration { bench in
            try write(Self.broken)
            let loader = ConfigurationLoader(file: ConfigurationFile(path: path), reconciler: bench.reconciler, statusSocket: nil)
            await #expect { try await loader.load(.asked) } throws: { error in
                let refusal = error as? ConfigurationRefusal
                return refusal?.reason == .configInvalid && refusal?.lines.first?.hasPrefix("\(path):1: ") == true
            }
            bench.log.forget()
            for _ in 1...3 { _ = try? await loader.load(.retry) }
            #expect(bench.log.lines == [], "the same trouble is logged once")
            try FileManager.default.removeItem(atPath: path)
            _ = try? await loader.load(.retry)
            #expect(await bench.reconciler.configuration.loaded == nil, "that it is gone is no configuration")
            try write(Bench.configuration)
            #expect(try await loader.load(.retry).isEmpty)
            try await bench.eventually("it is in force") { await bench.tap(web1)?.state == .active }
            try write(Self.broken)
            await #expect { try await loader.load(.asked) } throws: { ($0 as? ConfigurationRefusal)?.reason == .configStale }
            #expect(await bench.tap(web1)?.warnings.map(\.reason).contains(.configStale) == true)
        }
    }

    /// What an operator has paused goes on when an operator says so.
    @Test func aRetryDoesNotEndAPause() async throws {
        try await withoutConfiguration { bench in
            _ = try await bench.reconciler.purge()
            try await bench.reconciler.reload(Bench.parse(Bench.configuration), .retry)
            try await bench.settle()
            #expect(bench.kernel.attached.isEmpty)
            #expect(await bench.tap(web1)?.reason == .disabledByHost)
            try await bench.reload()
            try await bench.eventually("it is attached") { bench.kernel.attached == ["web1/ids both > ids"] }
        }
    }

    @Test func anotherLibvirtNeedsARestart() async throws {
        let bench = try Bench()
        try await bench.reload(Bench.configuration.replacing("<virt-tap>", with: "<virt-tap><libvirt uri='xen:///system'/>"))
        let warning = try #require(await bench.reconciler.status().daemon.warnings?.first)
        #expect(warning.reason == .restartNeeded)
        #expect(warning.message.contains("listens to qemu:///system, the configuration says xen:///system"))
        try await bench.reload()
        #expect(await bench.reconciler.status().daemon.warnings == [])
    }
}
