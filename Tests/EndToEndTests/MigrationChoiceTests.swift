// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd {
    /// A tap that chooses makes the same choice wherever its domain is.
    @Suite(.serialized, .hostPair { pair in _ = try await pair.one.lab.guest("mover", GuestOptions(ip: "192.0.2.11/24")) })
    struct MigrationChoiceTests {
        let pair: HostPair = .current

        @Test func theSameFlowsAreCopiedOnBothHosts() async throws {
            let filter = "udp dst portrange 40010-40025"
            let mover = Guest(host: pair.one.lab, name: "mover")
            try await pair.one.virtTapSucceeds("set", "mover", "--to", "ids", "--filter", filter, "--sample-flows", "1/2")
            try await pair.one.wait(for: "mover")
            let atOne = try await Sensor(pair.one.lab, at: "ids1")
            let atTwo = try await Sensor(pair.two.lab, at: "ids1")
            // Where all of it arrives, whichever host it comes from.
            let original = try await Sensor(pair.two.lab, at: "br0")
            // Who that is is known before the first numbers: those would not wait.
            try await mover.pingsWithoutLoss("192.0.2.2", count: 2)
            var flows: [Flow] = []
            for port in 40010...40026 { flows.append(try await Flow.start(mover, to: "192.0.2.2", port: port, interval: 50)) }
            // As fast as the others, and the last to begin.
            try await flows[16].moves(at: original)
            let before = try flows.map { try !$0.numbers(in: atOne).isEmpty }

            let moved = try await pair.move(mover, "--persistent", "--undefinesource")
            let tap = try #require(try await pair.two.tap(of: "mover"))
            #expect(tap.state == .active && tap.filter == filter && tap.sampleFlows == "1/2", "\(tap.message ?? "")")
            let line = try #require(pair.two.lab.log("virt-tapd").split(separator: "\n").last { $0.contains("before the guest ran") })
            #expect(line.contains("mover: taps in place") && line.hasSuffix("no gap"), "\(line)")
            try await pair.two.wait(for: "mover", "is as defined") { $0.definition == .both }
            try await eventually("the source has nothing left of it") { try pair.one.pins().isEmpty }
            try await flows[16].moves(at: original)
            try await moved.succeed("killall vt-send")
            _ = try await pair.two.unseen(of: moved)

            // Some of those that match, one in two, and not the one that does not.
            let after = try flows.map { try !$0.numbers(in: atTwo).isEmpty }
            #expect(after == before)
            #expect(after.contains(true) && after.dropLast().contains(false) && after.last == false)
            for (flow, isChosen) in zip(flows, after) where isChosen {
                let sent = try flow.numbers(in: original)
                #expect(try sent == Array(1...#require(sent.last)))
                try await eventually("the last copy of port \(flow.port)") { try flow.numbers(in: atTwo).last == sent.last }
                #expect(try (flow.numbers(in: atOne) + flow.numbers(in: atTwo)).sorted() == sent)
            }
            let counters = try await pair.two.packets(of: moved, "outbound")
            for counter in ["copied", "filtered", "sampled_out"] { #expect(try #require(counters[counter]) > 0, "\(counter)") }
            #expect(try atTwo.frames().count == counters["copied"])
            for sensor in [atOne, atTwo, original] { #expect(try await sensor.stop() == 0) }
        }

        /// The other host's libvirt gives the device the same name, and there, too, it is renamed later.
        @Test func anInterfaceChosenByItsDeviceIsTheSameThere() async throws {
            var options = GuestOptions()
            options.nics = ["bridge=br0,ip=192.0.2.31/24,target=moverlan"]
            options.interfaces = ["<interface type='bridge'><source bridge='br0'/><model type='virtio'/><rom enabled='no'/></interface>"]
            let guest = try await pair.one.lab.guest("named", options)
            try await pair.one.virtTapSucceeds("set", "named", "--to", "ids", "--interface", "moverlan")
            let before = try await pair.one.wait(for: "named")
            #expect(before.interfaces.map(\.device) == ["moverlan"] && before.interfaces.map(\.alias) == ["net0"])
            try await pair.one.lab.succeed("ip", "link", "set", "moverlan", "name", "wan0")
            let moved = try await pair.move(guest, "--persistent", "--undefinesource")
            let tap = try await pair.two.wait(for: "named", "is as defined") { $0.state == .active && $0.definition == .both }
            #expect(tap.interfaces.map(\.device) == ["moverlan"] && tap.warnings.allSatisfy { $0.reason != .deviceChanged })
            let line = try #require(pair.two.lab.log("virt-tapd").split(separator: "\n").last { $0.contains("before the guest ran") })
            #expect(line.contains("named: taps in place") && line.hasSuffix("no gap"), "\(line)")
            try await eventually("the source has nothing left of it") { try pair.one.pins().isEmpty }
            try await moved.destroy()
            try await pair.two.lab.virsh("undefine", "named")
        }

        /// The tapped guest stays; its sensor goes to the other host and comes back.
        @Test func aSensorThatMovesAwayIsMissed() async throws {
            let mac = "52:54:00:77:77:77"
            let configuration = TappedHost.configuration.replacingOccurrences(
                of: "</virt-tap>", with: "<destination name='vm'><domain name='sensor' mac='\(mac)'/></destination></virt-tap>")
            for host in pair.hosts {
                try await host.reload(configuration)
                // Where nobody else is: what arrives there is copies.
                try await host.lab.succeed("ip", "link", "add", "br7", "up", "type", "bridge", "mcast_snooping", "0")
            }
            var options = GuestOptions()
            options.nics = ["bridge=br7,mac=\(mac)"]
            options.tcpdump = true
            let chosen = options
            async let first = pair.one.lab.guest("sensor", chosen)
            async let second = pair.one.lab.guest("stayer", GuestOptions(ip: "192.0.2.21/24"))
            let (sensor, stayer) = try await (first, second)
            try await pair.one.virtTapSucceeds("set", "stayer", "--to", "vm")
            try await pair.one.wait(for: "stayer", tap: "vm")
            let pins = try await pair.one.pins(of: stayer)

            let away = try await pair.move(sensor, "--persistent")
            let tap = try await pair.one.wait(for: "stayer", tap: "vm", .failed, .destinationElsewhere)
            #expect(tap.message?.contains("has migrated to another host") == true, "\(tap.message ?? "")")
            let witness = try await Sensor(pair.two.lab, at: "br0")
            try await Flow.send(20, from: stayer, to: "192.0.2.2", port: 40_120).isComplete(at: witness, 20)
            #expect(try await witness.stop() == 0)

            let back = try await pair.move(away, "--persistent", "--undefinesource")
            try await pair.one.wait(for: "stayer", tap: "vm")
            let seen = try await GuestSensor(back)
            let flow = try await Flow.send(50, from: stayer, to: "192.0.2.2", port: 40_121)
            try await eventually("all of it is in the sensor VM") { try await seen.count(of: flow) == 50 }
            #expect(try await pair.one.pins(of: stayer) == pins)
            for host in pair.hosts { try await host.reload() }
        }
    }
}
