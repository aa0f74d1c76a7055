// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd.RunningGuests {
    /// Copying goes on whatever happens to the daemon and to libvirtd: no number is missing, no counter goes back, and
    /// no pin is made again.
    @Suite struct TapSurvivalTests {
        let host: TappedHost = .current
        var web1: Guest { host.web1 }
        var web2: Guest { host.web2 }

        init() async throws { try await host.withoutTaps() }

        @Test func theDaemonIsRestartedAndKilled() async throws {
            try await surviving { flow, sensor in
                try await host.stopDaemon()
                #expect(!host.lab.log("virt-tapd").isEmpty)
                try await flow.moves(at: sensor)
                try await host.startDaemon()
                try await flow.moves(at: sensor)
                for _ in 1...2 {
                    try await host.stopDaemon(signal: "KILL")
                    try await flow.moves(at: sensor)
                    try await host.startDaemon()
                    try await flow.moves(at: sensor)
                }
            }
        }

        @Test func libvirtdIsRestartedAndKilled() async throws {
            try await surviving { flow, sensor in
                try await host.lab.libvirtd("restart")
                try await flow.moves(at: sensor)
                try await reconnected()
                try await host.lab.libvirtd("kill")
                try await eventually("the daemon noticed") { try await host.status().daemon.connected == false }
                // Disconnected, the taps are known and copy.
                let tap = try #require(try await host.tap(of: "web1"))
                #expect(tap.state == .active)
                try await flow.moves(at: sensor)
                try await host.lab.libvirtd("start")
                try await reconnected()
            }
            #expect(try await web1.state == "running")
        }

        @Test func theDaemonComesBackBeforeLibvirtd() async throws {
            try await surviving { flow, sensor in
                try await host.lab.libvirtd("kill")
                try await host.stopDaemon(signal: "KILL")
                try await flow.moves(at: sensor)
                try await host.startDaemon()
                // It knows the domain from the pins alone.
                let tap = try await host.wait(for: "web1", "is shown") { _ in true }
                #expect(tap.interfaces.first?.outbound != nil)
                try await flow.moves(at: sensor)
                try await host.lab.libvirtd("start")
                try await reconnected()
            }
        }

        @Test func whatChangedMeanwhileIsFound() async throws {
            try await web1.setMetadata("<tap to='ids'/>")
            try await host.wait(for: "web1")
            try await host.stopDaemon()
            try await web1.removeMetadata()
            try await web2.setMetadata("<tap to='ids'/>")
            #expect(try await !host.pins(of: web1).isEmpty)
            try await host.startDaemon()
            try await host.wait(for: "web2")
            try await host.waitForEnd(of: "web1")
            #expect(try await host.pins(of: web1).isEmpty)
            try await web2.removeMetadata()
            try await host.waitForEnd(of: "web2")
        }

        private func reconnected() async throws {
            try await eventually("the daemon is connected to libvirt again", within: .seconds(60)) {
                try await host.status().daemon.connected == true
            }
        }

        /// Taps web1 with traffic flowing in both directions, lets `disturb` happen, and looks whether anything was lost.
        private func surviving(_ disturb: (Flow, Sensor) async throws -> Void) async throws {
            try await web1.setMetadata("<tap to='ids'/>")
            let before = try await host.wait(for: "web1")
            let pins = try await host.pins(of: web1)
            #expect(!pins.isEmpty)
            let copies = try await Sensor(host.lab, at: "ids1")
            let original = try await Sensor(host.lab, at: "tap-web1", direction: "inout")
            let sent = try await Flow.start(web1, to: EndToEnd.RunningGuests.address2)
            let received = try await Flow.start(web2, to: EndToEnd.RunningGuests.address1)
            try await sent.moves(at: copies)
            var counters: [UInt64] = [try packets(try await host.tap(of: "web1"))]

            try await disturb(sent, copies)

            let after = try await host.wait(for: "web1", "is known with its domain") { $0.state == .active && $0.running == true }
            counters.append(try packets(after))
            try await sent.moves(at: copies)
            try await sent.stop()
            try await received.stop()
            for flow in [sent, received] {
                try await eventually("the copy of \(flow.guest.name)'s packets is whole") {
                    try flow.frames(in: copies) == flow.frames(in: original)
                }
                let numbers = try flow.numbers(in: copies)
                #expect(try numbers == Array(1...#require(numbers.last)))
            }
            counters.append(try packets(try await host.tap(of: "web1")))

            #expect(counters == counters.sorted())
            #expect(try #require(counters.last) >= UInt64(sent.numbers(in: copies).count + received.numbers(in: copies).count))
            #expect(after.interfaces.first?.since == before.interfaces.first?.since)
            #expect(try await host.pins(of: web1) == pins)
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1")
            #expect(try await host.pins(of: web1).isEmpty)
            #expect(try await copies.stop() == 0)
            #expect(try await original.stop() == 0)
        }

        private func packets(_ tap: TapStatus?) throws -> UInt64 {
            let interface = try #require(tap?.interfaces.first)
            return try #require(interface.inbound).copied.packets + #require(interface.outbound).copied.packets
        }
    }
}
