// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapControl
import TapModel
import TestSupport
import Testing

extension EndToEnd.RunningGuests {
    /// The host's configuration rules, and `purge` ends it all.
    @Suite struct ConfigurationTests {
        let host: TappedHost = .current
        var web1: Guest { host.web1 }
        static let off = TappedHost.configuration.replacingOccurrences(of: "<virt-tap>", with: "<virt-tap><policy taps='no'/>")
        static let broken = "<virt-tap>\n<destination nmae='ids'/>\n</virt-tap>"

        init() async throws { try await host.withoutTaps() }

        @Test func thePolicyStopsAllCopyingAndLetsItGoOn() async throws {
            try await web1.setMetadata("<tap to='ids'/>")
            try await host.wait(for: "web1")
            let sensor = try await Sensor(host.lab, at: "ids1")
            try await host.reload(Self.off)
            try await host.wait(for: "web1", .disabled, .disabledByHost)
            try await eventually("no pin is left") { try host.pins().filter { $0.key.contains("/link") }.isEmpty }
            let quiet = try await Flow.send(50, from: web1, to: EndToEnd.RunningGuests.address2)
            try await host.reload()
            try await host.wait(for: "web1")
            let loud = try await Flow.send(50, from: web1, to: EndToEnd.RunningGuests.address2)
            try await loud.isComplete(at: sensor, 50)
            #expect(try quiet.numbers(in: sensor).isEmpty)
            #expect(try await sensor.stop() == 0)
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1")
        }

        @Test func aBadFileAtReloadLeavesTheOldOneInForce() async throws {
            try await web1.setMetadata("<tap to='ids'/>")
            try await host.wait(for: "web1")
            let pins = try await host.pins(of: web1)
            try await host.reload(Self.broken)
            try await eventually("the configuration is stale") { try await host.status().config.stale }
            #expect(try await host.status().config.message?.contains("nmae") == true)
            #expect(host.lab.log("virt-tapd").contains("\(TappedHost.configurationPath):2"))
            let tap = try await host.wait(for: "web1", "warns") { $0.warnings.contains { $0.reason == .configStale } }
            #expect(tap.state == .active)
            #expect(try await host.pins(of: web1) == pins)
            // Whoever asks for it gets the reason. systemd asks with the unit's rights.
            let refused = try await host.lab.run([LabHost.repository + "/scripts/as-unit", TappedHost.program("virt-tap"), "reload"])
            #expect(refused.status == 78 && refused.errorText.contains("\(TappedHost.configurationPath):2"), "\(refused.errorText)")
            #expect(refused.errorText.contains("the one before stays in force"))
            try host.configure(TappedHost.configuration)
            try await host.virtTapSucceeds("reload")
            #expect(try await !host.status().config.stale)
            #expect(try await host.pins(of: web1) == pins)
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1")
        }

        /// The daemon comes up all the same: what is in the kernel copies on, guests start, and the file is read when it is good.
        @Test func aBadFileAtStartTouchesNothing() async throws {
            try await web1.setMetadata("<tap to='ids'/>")
            try await host.wait(for: "web1")
            let pins = try await host.pins(of: web1)
            try await host.stopDaemon()
            #expect(try await host.virtTap("reload").status == 3)
            let files = [
                (Self.broken, 0o644, "\(TappedHost.configurationPath):2"), ("<virt-tap>", 0o644, TappedHost.configurationPath),
                (TappedHost.configuration, 0o666, TappedHost.configurationPath),
            ]
            for (text, mode, words) in files {
                try host.lab.write(text, to: TappedHost.configurationPath, mode: mode)
                try await host.startDaemon()
                try await host.wait(for: "web1", "is known with its domain") { $0.running == true }
                let tap = try await host.wait(for: "web1", .degraded, .configInvalid)
                #expect(tap.message?.contains(words) == true && tap.interfaces.first?.outbound != nil)
                let status = try await host.virtTap("status", "--check")
                #expect(status.status == 2 && status.text.contains(words) && status.text.contains("(config-invalid)"), "\(status.text)")
                #expect(try await host.virtTap("reload").status == 78)
                #expect(try await host.virtTap("doctor").text.contains("virt-tapd has no configuration"))
                // A new tap waits.
                try await host.web2.setMetadata("<tap to='ids'/>")
                try await host.wait(for: "web2", .failed, .configInvalid)
                try await host.web2.removeMetadata()
                try await eventually("it is gone") { try await host.taps(of: "web2").isEmpty }
                #expect(try await host.pins(of: web1) == pins)
                try await host.stopDaemon()
            }
            // Nor is a tap written that nobody could check; taking one out needs no check.
            let refused = try await host.virtTap("set", "web2", "--to", "nowhere")
            #expect(refused.status == 78 && refused.errorText.contains("nothing was changed"), "\(refused.errorText)")
            try await host.virtTapSucceeds("set", "web2", "--to", "nowhere", "--force")
            try await host.virtTapSucceeds("unset", "web2", "nowhere")
            try await host.startDaemon()
            let sensor = try await Sensor(host.lab, at: "ids1")
            try await Flow.send(50, from: web1, to: EndToEnd.RunningGuests.address2).isComplete(at: sensor, 50)
            // Nobody asks for a reload: it is read by itself.
            try host.configure(TappedHost.configuration)
            try await host.wait(for: "web1", "is known with its domain") { $0.state == .active && $0.running == true }
            #expect(try await host.pins(of: web1) == pins)
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1")
            #expect(try await sensor.stop() == 0)
        }

        @Test func purgeEndsItAll() async throws {
            try await web1.setMetadata("<tap to='ids'/>")
            try await host.wait(for: "web1")
            let sensor = try await Sensor(host.lab, at: "ids1")

            #expect(try await host.virtTap("purge").status == 1)
            #expect(try await !host.pins(of: web1).isEmpty)
            try await host.virtTapSucceeds("purge", "--now")
            #expect(try await host.pins(of: web1).isEmpty)
            let paused = try #require(try await host.tap(of: "web1"))
            #expect(paused.state == .disabled)
            #expect(paused.reason == .disabledByHost)
            #expect(try await host.status().daemon.paused == true)
            // An event is no reason to go on.
            try await web1.setMetadata("<tap to='ids' direction='both'/>")
            let quiet = try await Flow.send(50, from: web1, to: EndToEnd.RunningGuests.address2)
            #expect(try await host.pins(of: web1).isEmpty)
            try await host.reload()
            try await host.wait(for: "web1")
            let loud = try await Flow.send(50, from: web1, to: EndToEnd.RunningGuests.address2)
            try await loud.isComplete(at: sensor, 50)

            try await host.stopDaemon()
            let down = try await host.virtTap("status", "--json")
            #expect(down.status == 3)
            let document = try JSONDecoder().decode(StatusDocument.self, from: down.output)
            #expect(document.taps.map(\.domain) == ["web1"])
            #expect(document.taps.first?.interfaces.first?.outbound?.copied.packets ?? 0 >= 50)
            try await host.virtTapSucceeds("purge")
            #expect(try FileManager.default.fileExists(atPath: host.lab.path("/sys/fs/bpf/virt-tap")) == false)
            let gone = try await Flow.send(50, from: web1, to: EndToEnd.RunningGuests.address2)
            try await host.startDaemon()
            try await host.wait(for: "web1")
            #expect(try quiet.numbers(in: sensor).isEmpty)
            #expect(try gone.numbers(in: sensor).isEmpty)
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1")
            #expect(try await sensor.stop() == 0)
        }

        @Test func statusIsTheSameForReadersAndForPrograms() async throws {
            try await web1.setMetadata("<tap to='ids'/>")
            try await host.wait(for: "web1")
            let json = try await host.virtTap("status", "--json", "web1")
            #expect(json.status == 0)
            let document = try JSONDecoder().decode(StatusDocument.self, from: json.output)
            #expect(document.taps.map(\.state) == [.active])
            #expect(document.host.libvirt != nil)
            #expect(document.hook.installed)
            let table = try await host.virtTap("status")
            #expect(table.status == 0)
            let line = table.lines.first { $0.contains("tap-web1") }
            for word in ["web1", "net0", "ids", "both", "active"] { #expect(line?.contains(word) == true, "\(table.text)") }
            try await web1.removeMetadata()
            try await host.waitForEnd(of: "web1")
        }
    }
}
