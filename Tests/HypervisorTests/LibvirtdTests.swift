// SPDX-License-Identifier: LGPL-2.1-or-later
import CLibvirt
import Foundation
import Synchronization
import TapModel
import Testing

@testable import Hypervisor

/// Against a libvirtd of the tests' own, with real QEMU processes that stay paused.
@Suite(.serialized, .enabled(if: PrivateLibvirtd.isToBeTried, "needs root, libvirtd and QEMU"), .timeLimit(.minutes(5)))
struct LibvirtdTests {
    private let nic = "<interface type='ethernet'><mac address='52:54:00:00:00:02'/></interface>"

    private func xml(_ name: String) -> String {
        """
        <domain type='qemu'><name>\(name)</name><memory unit='MiB'>32</memory><os><type arch='x86_64' machine='pc'>hvm</type></os>
        <features><acpi/></features><metadata><t:tap xmlns:t='urn:virt-tap:1' to='ids'/></metadata>
        <devices><emulator>/usr/bin/qemu-system-x86_64</emulator><controller type='usb' model='qemu-xhci'/>
        <interface type='ethernet'><mac address='52:54:00:00:00:01'/></interface></devices></domain>
        """
    }

    private func text(_ bytes: [UInt8]?) -> String { String(decoding: bytes ?? [], as: UTF8.self) }

    /// Runs `body` with a libvirtd that has not been started yet, and a source that looks for it.
    private func withLibvirtd(
        prepare: (PrivateLibvirtd) throws -> Void = { _ in }, _ body: (PrivateLibvirtd, LibvirtDomainSource, EventLog) async throws -> Void
    ) async throws {
        let libvirtd = try PrivateLibvirtd()
        defer { libvirtd.remove() }
        try prepare(libvirtd)
        let source = LibvirtDomainSource(uri: libvirtd.readOnlyURI)
        do {
            try await EventLog.of(source) { try await body(libvirtd, source, $0) }
        } catch {
            Issue.record("libvirtd's log: \(libvirtd.log)")
            throw error
        }
    }

    /// An administrator's connection, as soon as libvirtd takes one.
    private func administrator(_ libvirtd: PrivateLibvirtd) throws -> Administrator { try Administrator(uri: libvirtd.uri) }

    @Test func aKilledLibvirtdIsNoticedAndFoundAgain() async throws {
        try await withLibvirtd { libvirtd, source, log in
            // Not there at all: said once, with the socket's error.
            let why = try await log.waitForDisconnected()
            #expect(why.contains("libvirt-sock-ro") && why.contains("No such file"))
            await #expect { try await source.domains() } throws: { ($0 as? Failure)?.reason == .libvirtDisconnected }
            #expect(log.count == 1)

            try libvirtd.start()
            try await log.waitForConnected()
            let uuid = try administrator(libvirtd).define(xml("kept"))
            try await log.waitForChange(uuid, "defined added")
            try administrator(libvirtd).start(uuid, VIR_DOMAIN_START_PAUSED)
            try await log.waitForChange(uuid, "started booted")

            let before = log.count
            try libvirtd.kill()
            let loss = try await log.waitForDisconnected(after: before, within: .seconds(30))
            #expect(loss.contains("closed the connection"))
            await #expect { try await source.domain(uuid) } throws: { ($0 as? Failure)?.reason == .libvirtDisconnected }
            // Nothing is known of the domain from then on; in particular not that it is gone. (That it was paused may have come late.)
            func isLoss(_ event: HypervisorEvent) -> Bool { if case .disconnected = event { true } else { false } }
            #expect(log.all.dropFirst(before).drop { !isLoss($0) }.allSatisfy(isLoss))

            try libvirtd.start()
            try await log.waitForConnected(after: before)
            let domain = try #require(try await source.domains().first { $0.uuid == uuid })
            #expect(domain.name == "kept" && domain.isRunning && domain.isPersistent)
            #expect(text(domain.liveXML).contains("vnet") && text(domain.liveXML).contains("urn:virt-tap:1"))
            #expect(!text(domain.persistentXML).contains("vnet") && text(domain.persistentXML).contains("urn:virt-tap:1"))

            // Events come over the new connection, too.
            let afterwards = log.count
            // Each change of a domain waits until libvirtd has found its QEMU process again, but destroying it ends that process first;
            // libvirtd then takes it for one that crashed. The domain is paused already, so this waits and changes nothing.
            try administrator(libvirtd).suspend(uuid)
            try administrator(libvirtd).destroy(uuid)
            try await log.waitForChange(uuid, "stopped destroyed", after: afterwards)
        }
    }

    @Test func metadataAndDevicesOfARunningDomainGiveEvents() async throws {
        try await withLibvirtd { libvirtd, source, log in
            try libvirtd.start()
            try await log.waitForConnected()
            let uuid = try administrator(libvirtd).define(xml("guest"))
            try administrator(libvirtd).start(uuid, VIR_DOMAIN_START_PAUSED)
            let editor = try await LibvirtMetadataEditor(uri: libvirtd.uri)
            #expect(try await editor.domain(named: "guest").uuid == uuid)

            try await editor.setMetadata("<tap to='both'/>", of: uuid, uri: "urn:virt-tap:1", key: "tap", live: true, config: true)
            try await log.waitForChange(uuid, "metadata-changed urn:virt-tap:1")
            var domain = try #require(try await source.domain(uuid))
            #expect(text(domain.liveXML).contains("to=\"both\"") && text(domain.persistentXML).contains("to=\"both\""))
            try await editor.setMetadata(nil, of: uuid, uri: "urn:virt-tap:1", key: "tap", live: true, config: false)
            domain = try #require(try await source.domain(uuid))
            #expect(!text(domain.liveXML).contains("urn:virt-tap:1") && text(domain.persistentXML).contains("urn:virt-tap:1"))

            try administrator(libvirtd).plug(uuid, nic)
            try await log.waitForChange(uuid, "device-added net1")
            #expect(text(try await source.domain(uuid)?.liveXML).contains("52:54:00:00:00:02"))

            // A paused guest does not give up a PCI device, but need not be asked about one on USB.
            let tablet = "<input type='tablet' bus='usb'><alias name='ua-tablet'/></input>"
            try administrator(libvirtd).plug(uuid, tablet)
            try await log.waitForChange(uuid, "device-added ua-tablet")
            try administrator(libvirtd).unplug(uuid, tablet)
            try await log.waitForChange(uuid, "device-removed ua-tablet")

            let report = await LibvirtReport.read(uri: libvirtd.readOnlyURI)
            let daemon = try report.daemon.get()
            #expect(daemon.hypervisor == "QEMU" && daemon.domains == 1 && daemon.hypervisorVersion != nil)
        }
    }

    @Test func aHookThatHangsHoldsUpNoOtherDomain() async throws {
        let hook = """
            #!/bin/sh
            here=$(dirname "$0")
            [ "$1 $2" = "slow start" ] || exit 0
            touch "$here/called"
            while [ ! -e "$here/go" ]; do sleep 0.1; done
            """
        try await withLibvirtd(prepare: { try $0.installHook(hook) }) { libvirtd, source, log in
            try libvirtd.start()
            try await log.waitForConnected()
            let quick = try administrator(libvirtd).define(xml("quick"))
            let slow = try administrator(libvirtd).define(xml("slow"))
            let started = Reply<Void>()
            let uri = libvirtd.uri
            try startThread {
                started.give(Result { try Administrator(uri: uri).start(slow, VIR_DOMAIN_START_PAUSED) })
            }
            let hooks = "\(libvirtd.directory)/etc/hooks"
            while !FileManager.default.fileExists(atPath: "\(hooks)/called") { try await Task.sleep(for: .milliseconds(20)) }

            let isListed = Mutex(false)
            let all = Task {
                _ = try await source.domains()
                isListed.withLock { $0 = true }
            }
            let one = Task { _ = try await source.domain(slow) }
            try await Task.sleep(for: .milliseconds(200))
            _ = try #require(try await source.domain(quick))
            #expect(!isListed.withLock { $0 }, "\(libvirtd.log)")
            // The list has to wait for the hook: if it did not, the test would show nothing.
            try await Task.sleep(for: .seconds(1))
            #expect(!isListed.withLock { $0 })
            #expect(FileManager.default.createFile(atPath: "\(hooks)/go", contents: nil))
            try await all.value
            try await one.value
            try await started.value(for: "start the slow domain", within: .seconds(60))
            try await log.waitForChange(slow, "started booted")
        }
    }

    @Test func aLibvirtdThatHangsEndsCallsAndIsFoundAgain() async throws {
        try await withLibvirtd { libvirtd, source, log in
            try libvirtd.start()
            try await log.waitForConnected()
            let before = log.count
            try libvirtd.pause()
            try await Task.sleep(for: .milliseconds(200))
            let began = ContinuousClock.now
            await #expect { try await source.domains() } throws: { ($0 as? Failure)?.reason == .libvirtDisconnected }
            #expect(began.duration(to: .now) < .seconds(60))
            try await log.waitForDisconnected(after: before, within: .seconds(30))
            try libvirtd.resume()
            try await log.waitForConnected(after: before)
            #expect(try await source.domains().isEmpty)
        }
    }

    @Test func cancellingEndsACallThatHangsAtOnce() async throws {
        try await withLibvirtd { libvirtd, source, log in
            try libvirtd.start()
            try await log.waitForConnected()
            try libvirtd.pause()
            try await Task.sleep(for: .milliseconds(200))
            let began = ContinuousClock.now
            let question = Task { try await source.domains() }
            try await Task.sleep(for: .milliseconds(200))
            question.cancel()
            await #expect(throws: CancellationError.self) { try await question.value }
            #expect(began.duration(to: .now) < .seconds(20))
        }
    }
}
