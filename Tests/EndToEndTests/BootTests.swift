// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd {
    /// A guest that is tapped in its definition, and sends a numbered burst as soon as it has an interface.
    @Suite(.serialized, .tappedHost { host in _ = try await host.lab.guest("early", early) })
    struct BootTests {
        let host: TappedHost = .current
        var guest: Guest { Guest(host: host.lab, name: "early") }

        /// From the first packet on, through a reboot from inside, until it switches itself off.
        @Test func theWholeLifeOfAGuestIsCopied() async throws {
            let sensor = try await Sensor(host.lab, at: "ids1")
            try await guest.start()
            // Before the guest has had time for anything.
            let tap = try #require(try await host.tap(of: "early"))
            #expect(tap.state == .active)
            #expect(tap.definition == .both)
            #expect(tap.warnings.isEmpty)
            #expect(try await host.status().hook.seen != nil)
            try await guest.ready()
            try await burst(1, at: sensor)
            try await host.everyFrameIsCounted(of: guest)
            let pins = try await host.pins(of: guest)

            try await guest.reboot()
            try await burst(2, at: sensor)
            #expect(try await host.pins(of: guest) == pins)

            try await guest.powerOff()
            try await host.waitForEnd(of: "early")
            #expect(try await host.pins(of: guest).isEmpty)
            let off = try #require(try await host.tap(of: "early"))
            #expect(off.state == .pending)
            #expect(off.reason == .domainNotRunning)
            #expect(try await sensor.stop() == 0)
        }

        /// As systemd does it: the socket is open while the daemon is not there, and the hook's call waits in it. The
        /// daemon that comes cannot reach libvirt: what it does, it does by the hook's word.
        @Test func aGuestStartsWhileTheDaemonRestarts() async throws {
            let sensor = try await Sensor(host.lab, at: "ids1")
            try await host.stopDaemon()
            try await host.listenForDaemon("--connect", "qemu+unix:///system?socket=/run/nowhere")
            try await guest.start()
            let status = try await host.status()
            #expect(status.daemon.connected == false)
            #expect(status.taps.map(\.state) == [.active])
            let pins = try await host.pins(of: guest)
            try await guest.ready()
            try await burst(1, at: sensor)

            try await host.stopDaemon()
            try await host.startDaemon()
            try await host.wait(for: "early", "is known with its domain") { $0.state == .active && $0.running == true }
            #expect(try await host.pins(of: guest) == pins)
            try await host.everyFrameIsCounted(of: guest)
            try await guest.destroy()
            try await host.waitForEnd(of: "early")
            #expect(try await host.pins(of: guest).isEmpty)
            #expect(try await sensor.stop() == 0)
        }

        /// Nobody is there at the start; the guest does not wait for anybody, and is found later.
        @Test func aGuestThatStartedWithoutTheDaemonIsAdopted() async throws {
            try await host.stopDaemon()
            let start = ContinuousClock.now
            try await guest.start()
            #expect(ContinuousClock.now - start < .seconds(15))
            #expect(try await host.pins(of: guest).isEmpty)
            try await host.startDaemon()
            try await host.wait(for: "early")
            // Two daemons that come and go while it boots.
            try await host.stopDaemon(signal: "KILL")
            try await host.startDaemon()
            let sensor = try await Sensor(host.lab, at: "ids1")
            try await guest.ready()
            try await Flow.send(50, from: guest, to: "192.0.2.255").isComplete(at: sensor, 50)
            try await guest.destroy()
            try await host.waitForEnd(of: "early")
            #expect(try await host.pins(of: guest).isEmpty)
            #expect(try await sensor.stop() == 0)
        }

        private func burst(_ times: Int, at sensor: Sensor) async throws {
            let numbers = Array(repeating: Array(1...burstLength), count: times).flatMap { $0 }
            try await eventually("the guest's first packets") { try sensor.numbers("burst", from: "early") == numbers }
        }
    }
}

private let burstLength = 150
private let early = GuestOptions(
    ip: "192.0.2.21/24", append: "vt.burst=\(burstLength):192.0.2.255", metadata: "<tap xmlns='urn:virt-tap:1' to='ids'/>", start: false)
