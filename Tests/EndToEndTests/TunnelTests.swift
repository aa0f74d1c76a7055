// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd.RunningGuests {
    /// Copies that go to another machine, by a real guest's tap and to a real VXLAN device.
    @Suite struct TunnelTests {
        let host: TappedHost = .current
        var web1: Guest { host.web1 }
        static let configuration = TappedHost.configuration.replacingOccurrences(
            of: "</virt-tap>",
            with: "<destination name='tun'><vxlan remote='10.9.0.2' vni='\(FarMachine.identifier)'/></destination></virt-tap>")

        init() async throws { try await host.withoutTaps() }

        private func destination() async throws -> DestinationStatus {
            try #require(try await host.status().destinations.first { $0.name == "tun" })
        }

        private func expectWhole(_ copies: Sensor, _ original: Sensor) async throws {
            let flow = try await Flow.send(200, from: web1, to: EndToEnd.RunningGuests.address2)
            try await flow.isComplete(at: copies, 200)
            // The checksum is filled in, which the guest left to its device.
            for (copy, frame) in zip(try flow.frames(in: copies), try flow.frames(in: original)) {
                #expect(copy.bytes[..<40] == frame.bytes[..<40] && copy.bytes[42...] == frame.bytes[42...])
            }
        }

        @Test func itFollowsRoutesAndNeighbours() async throws {
            let far = try await FarMachine(host.lab)
            try await host.reload(Self.configuration)
            try await host.setTap("web1", "--to", "tun")
            let lost = try await host.wait(for: "web1", tap: "tun", .failed, .neighbourUnreachable)
            #expect(lost.message?.contains("no route to 10.9.0.2") == true, "\(lost.message ?? "")")
            let pins = try await host.pins(of: web1)
            let copies = try await Sensor(host.lab, at: "back0")
            let original = try await Sensor(host.lab, at: "tap-web1")

            try await far.connect()
            try await host.wait(for: "web1", tap: "tun")
            #expect(try await destination().device == "up0")
            try await expectWhole(copies, original)
            // Another machine takes the address over. Nobody tells, so it is found when the next hop is asked.
            try await far.change(mac: "02:00:00:00:77:01")
            try await host.lab.succeed("ip", "neigh", "flush", "dev", "up0")
            try await eventually("the neighbour is known again") {
                try await host.lab.succeed("ip", "neigh", "show", "dev", "up0").contains("02:00:00:00:77:01")
            }
            try await host.wait(for: "web1", tap: "tun")
            try await Task.sleep(for: .milliseconds(300))
            try await expectWhole(copies, original)

            try await far.setCable(isIn: false)
            let unplugged = try await host.wait(for: "web1", tap: "tun", .failed, .destinationDown)
            #expect(unplugged.message?.contains("up0, by which 10.9.0.2 is reached, has no carrier") == true, "\(unplugged.message ?? "")")
            try await far.setCable(isIn: true)
            try await host.wait(for: "web1", tap: "tun")
            try await expectWhole(copies, original)

            try await far.disconnect()
            try await host.wait(for: "web1", tap: "tun", .failed, .neighbourUnreachable)
            let witness = try await Sensor(host.lab, at: "tap-web1")
            try await Flow.send(20, from: web1, to: EndToEnd.RunningGuests.address2).isComplete(at: witness, 20)
            try await far.connect()
            try await host.wait(for: "web1", tap: "tun")
            try await expectWhole(copies, original)
            #expect(try await host.pins(of: web1) == pins)
            for sensor in [copies, original, witness] { #expect(try await sensor.stop() == 0) }
            try await host.virtTapSucceeds("unset", "web1", "tun")
            try await host.waitForEnd(of: "web1", tap: "tun")
            try await far.remove()
            try await host.reload()
        }

        /// With all offloads of the guests on: GSO packets, checksum offload, frames that are too large for the path.
        @Test func aStreamArrivesByteForByte() async throws {
            let size = 8 << 20
            let far = try await FarMachine(host.lab)
            try await far.connect()
            try await host.reload(Self.configuration)
            try await host.web2.succeed(
                "mkdir -p /tmp/www && head -c \(size) /dev/urandom >/tmp/www/tun && (pidof httpd >/dev/null || httpd -h /tmp/www)")
            let sum = try await host.web2.succeed("sha256sum </tmp/www/tun").prefix(64)
            let copies = try await Sensor(host.lab, at: "back0")
            try await host.setTap("web1", "--to", "tun")
            try await host.wait(for: "web1", tap: "tun")
            #expect(
                try await web1.succeed("wget -q -O - http://\(EndToEnd.RunningGuests.address2)/tun | sha256sum").prefix(64) == sum)
            var stream = Data()
            try await eventually("the whole stream", within: .seconds(60)) {
                stream = try Self.stream(in: copies, from: 80)
                return stream.count > size
            }
            let seen = try await Command(["sha256sum"]).run(on: stream.suffix(size))
            #expect(seen.text.prefix(64) == sum)
            let status = try await destination()
            #expect(status.state == .active && status.errors.packets == 0, "\(status)")
            for direction in ["inbound", "outbound"] {
                let counter = try await host.packets(of: web1, direction, tap: "tun")
                #expect(counter["seen"] == counter["copied"], "\(direction) \(counter)")
            }
            // One that the guest sends as large as it may does not fit with what is put around it.
            let flow = try await Flow.start(web1, to: EndToEnd.RunningGuests.address2, interval: 5, size: 1_472)
            try await flow.moves(at: copies)
            try await flow.stop()
            let note = try #require(try await destination().warnings.first)
            #expect(note.reason == .mtuTooSmall && note.message.contains("1500 bytes, so frames of over 1464 bytes"), "\(note.message)")
            #expect(try await copies.stop() == 0)
            try await host.virtTapSucceeds("unset", "web1", "tun")
            try await host.waitForEnd(of: "web1", tap: "tun")
            try await far.remove()
            try await host.reload()
        }

        /// The payload from a port, in order, as far as there is no gap.
        private static func stream(in sensor: Sensor, from port: Int) throws -> Data {
            var parts: [(offset: Int, bytes: ArraySlice<UInt8>)] = []
            var start: Int?
            for frame in try sensor.frames() {
                guard let segment = TCPSegment(frame), segment.source == port else { continue }
                if segment.isSYN { start = segment.sequence }
                guard let start, segment.payload > 0 else { continue }
                parts.append(((segment.sequence - start - 1) & 0xffff_ffff, frame.bytes[segment.end...].prefix(segment.payload)))
            }
            var stream = Data()
            for part in parts.sorted(by: { $0.offset < $1.offset }) {
                guard part.offset <= stream.count else { break }
                stream.append(contentsOf: part.bytes.dropFirst(stream.count - part.offset))
            }
            return stream
        }
    }
}
