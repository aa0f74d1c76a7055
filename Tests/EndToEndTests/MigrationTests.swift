// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

extension EndToEnd {
    /// The tap travels with the domain, between two hosts with a libvirtd, a daemon and a sensor each.
    @Suite struct MigrationTests {
        @Test func everyPacketOfAGuestThatMovesIsInOneOfTheTwoCopies() async throws {
            try await TappedHost.with { one async throws in
                try await TappedHost.with { two async throws in
                    try await one.lab.link("to-two", to: two.lab, "to-one")
                    try await one.lab.succeed("ip", "address", "add", "203.0.113.1/30", "dev", "to-two")
                    try await two.lab.succeed("ip", "address", "add", "203.0.113.2/30", "dev", "to-one")
                    let before = try await Sensor(one.lab, at: "ids1")
                    let after = try await Sensor(two.lab, at: "ids1")
                    let guest = try await one.lab.guest(
                        "mover",
                        GuestOptions(ip: "192.0.2.11/24", metadata: "<t:tap xmlns:t='urn:virt-tap:1' to='ids' direction='outbound'/>"))
                    try await one.wait(for: "mover")
                    let flow = try await Flow.start(guest, to: "192.0.2.255", interval: 10)
                    try await flow.moves(at: before)

                    let moved = try await guest.migrate(to: two.lab, address: "203.0.113.2")
                    try await two.wait(for: "mover")
                    try await flow.moves(at: after)
                    // The same flow, by the guest as it is now.
                    try await Flow(guest: moved, kind: flow.kind).stop()
                    try await eventually("nothing more arrives") {
                        let count = try flow.numbers(in: after).count
                        try await Task.sleep(for: .milliseconds(300))
                        return try flow.numbers(in: after).count == count
                    }
                    let here = try flow.numbers(in: before)
                    let there = try flow.numbers(in: after)
                    // None missing, none twice, and in the order in which they were sent.
                    #expect(here + there == Array(1...(here.count + there.count)))
                    #expect(here.count >= 20 && there.count >= 20)
                    #expect(try await before.stop() == 0)
                    #expect(try await after.stop() == 0)

                    #expect(two.lab.log("virt-tapd").contains("before the guest ran: no gap"))
                    try await eventually("the source has nothing left of it") { try one.pins().isEmpty }
                    try await moved.destroy()
                    try await eventually("nor has the target") { try two.pins().isEmpty }
                }
            }
        }

        @Test func aRequiredTapKeepsADomainFromStartingWhereItCannotBePlaced() async throws {
            try await TappedHost.with { host async throws in
                let metadata = "<t:tap xmlns:t='urn:virt-tap:1' to='elsewhere' required='yes'/>"
                let guest = try await host.lab.guest("strict", GuestOptions(ip: "192.0.2.11/24", metadata: metadata, start: false))
                let refused = try await host.lab.run("virsh", "start", "strict")
                #expect(refused.status != 0)
                #expect(refused.errorText.contains("required tap elsewhere is not in place: no-such-destination"), "\(refused.errorText)")
                #expect(try await guest.state == "shut off")
                // With nobody there to place it, too.
                try await host.stopDaemon()
                #expect(try await host.lab.run("virsh", "start", "strict").errorText.contains("required tap elsewhere is not in place"))
                try await host.startDaemon()
                // A destination that is only down does not count.
                try await host.reload(
                    "<virt-tap><destination name='elsewhere'><interface name='not-yet'/></destination></virt-tap>")
                try await eventually("the configuration is loaded") { try await host.status().destinations.map(\.name) == ["elsewhere"] }
                try await host.lab.virsh("start", "strict")
                try await host.wait(for: "strict", tap: "elsewhere", .failed, .destinationDown)
                try await guest.destroy()
            }
        }
    }
}
