// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd.RunningGuests {
    /// The other machine's network is not up, comes up, and goes, beside a default route that leads to another network.
    @Suite struct UnderlayTests {
        let host: TappedHost = .current
        var web1: Guest { host.web1 }

        init() async throws { try await host.withoutTaps() }

        /// - Parameter attributes: of the destination `tun`.
        private static func configuration(_ attributes: String = "") -> String {
            TappedHost.configuration.replacingOccurrences(
                of: "</virt-tap>",
                with:
                    "<destination name='tun'><vxlan remote='10.9.0.2' vni='\(FarMachine.identifier)' \(attributes)/></destination></virt-tap>"
            )
        }

        private func ip(_ words: String) async throws {
            try await host.lab.succeed("env", "-S", "ip \(words)")
        }

        /// A network with the default route's gateway, which is no more than an address.
        private func addDefaultRoute() async throws {
            try await ip("link add side0 up type veth peer name side1")
            try await ip("link set side1 up")
            try await ip("address add 198.51.100.2/24 dev side0")
            try await ip("neigh replace 198.51.100.1 lladdr 02:00:00:00:00:51 dev side0 nud permanent")
            try await ip("route add default via 198.51.100.1 dev side0")
        }

        /// What came out at the gateway's end.
        private func leaked(_ gateway: Sensor) throws -> Int {
            try gateway.frames().count { $0.bytes.count > 34 && Array($0.bytes[30..<34]) == [10, 9, 0, 2] }
        }

        /// The guest sends: everybody whom it is for gets it, and no copy goes anywhere.
        private func expectNoCopies(_ copies: Sensor, _ gateway: Sensor) async throws {
            let witness = try await Sensor(host.lab, at: "tap-web1")
            let flow = try await Flow.send(50, from: web1, to: EndToEnd.RunningGuests.address2)
            try await flow.isComplete(at: witness, 50)
            #expect(try flow.numbers(in: copies).isEmpty)
            #expect(try leaked(gateway) == 0)
            #expect(try await witness.stop() == 0)
        }

        private func expectCopies(_ copies: Sensor, _ gateway: Sensor) async throws {
            try await Flow.send(50, from: web1, to: EndToEnd.RunningGuests.address2).isComplete(at: copies, 50)
            #expect(try leaked(gateway) == 0)
        }

        @Test func noCopyLeavesByTheDefaultRoute() async throws {
            let far = try await FarMachine(host.lab)
            try await addDefaultRoute()
            let copies = try await Sensor(host.lab, at: "back0")
            let gateway = try await Sensor(host.lab, at: "side1")
            try await host.reload(Self.configuration("device='up0'"))
            try await host.setTap("web1", "--to", "tun")
            let early = try await host.wait(for: "web1", tap: "tun", .failed, .destinationDown)
            #expect(
                early.message?.contains("device up0 is down, through which 10.9.0.2 is to be reached (device=)") == true,
                "\(early.message ?? "")")
            try await expectNoCopies(copies, gateway)
            try await far.connect()
            try await host.wait(for: "web1", tap: "tun")
            try await expectCopies(copies, gateway)

            // In the midst of a flow.
            let flow = try await Flow.start(web1, to: EndToEnd.RunningGuests.address2, interval: 2)
            try await flow.moves(at: copies)
            try await ip("route replace 10.9.0.2/32 via 198.51.100.1 dev side0")
            try await ip("route del 10.9.0.0/24 dev up0")
            let moved = try await host.wait(for: "web1", tap: "tun", .failed, .destinationDown)
            #expect(moved.message?.contains("no route to 10.9.0.2 leads through up0") == true, "\(moved.message ?? "")")
            let witness = try await Sensor(host.lab, at: "tap-web1")
            // What was on its way has come.
            try await flow.moves(at: witness, by: 100)
            let count = try flow.numbers(in: copies).count
            try await flow.moves(at: witness, by: 100)
            #expect(try flow.numbers(in: copies).count == count && leaked(gateway) == 0)
            try await ip("route add 10.9.0.0/24 dev up0")
            try await host.wait(for: "web1", tap: "tun")
            try await flow.moves(at: copies)
            try await flow.stop()
            #expect(try await witness.stop() == 0)
            try await ip("route del 10.9.0.2/32")

            // Without `device`, what is known of the network and of the route is kept to.
            try await host.reload(Self.configuration())
            try await ip("link set up0 down")
            try await host.wait(for: "web1", tap: "tun", "the network is known") {
                $0.reason == .destinationDown && $0.message?.contains("is in the network of up0 (10.9.0.1/24), which is down") == true
            }
            try await expectNoCopies(copies, gateway)
            try await ip("address flush dev up0")
            let lost = try await host.wait(for: "web1", tap: "tun", .failed, .defaultRoute)
            #expect(lost.message?.contains("had a route of its own, by up0") == true, "\(lost.message ?? "")")
            try await expectNoCopies(copies, gateway)
            // Nor does the next daemon, which has only the pins.
            try await host.stopDaemon(signal: "KILL")
            try await host.startDaemon()
            let next = try await host.wait(for: "web1", tap: "tun", .failed, .defaultRoute)
            #expect(next.message?.contains("had a route of its own, by up0") == true, "\(next.message ?? "")")
            try await expectNoCopies(copies, gateway)
            try await far.connect()
            try await host.wait(for: "web1", tap: "tun")
            try await expectCopies(copies, gateway)

            // Who wants the default route gets it: so the gateway's end sees what comes.
            try await far.disconnect()
            try await host.wait(for: "web1", tap: "tun", .failed, .defaultRoute)
            try await host.reload(Self.configuration("device='side0'"))
            try await host.wait(for: "web1", tap: "tun")
            try await Flow.send(50, from: web1, to: EndToEnd.RunningGuests.address2)
            try await eventually("50 copies at the gateway") { try leaked(gateway) >= 50 }
            for sensor in [copies, gateway] { #expect(try await sensor.stop() == 0) }
            try await host.virtTapSucceeds("unset", "web1", "tun")
            try await host.waitForEnd(of: "web1", tap: "tun")
            try await far.remove()
            try await ip("link del side0")
            try await host.reload()
        }
    }
}
