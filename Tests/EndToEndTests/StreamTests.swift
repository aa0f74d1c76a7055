// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import Testing

extension EndToEnd.RunningGuests {
    /// Long TCP streams between guests that leave segments and checksums to their devices, put together again from the copies.
    ///
    /// `make test-streams` runs them with VT_STREAM_MEGABYTES, 128 of them; in `make test` they are short.
    @Suite struct StreamTests {
        let host: TappedHost = .current
        var web1: Guest { host.web1 }
        var web2: Guest { host.web2 }

        init() async throws { try await host.withoutTaps() }

        /// Makes each guest serve a file of its own; their digests.
        private func serve() async throws -> [String] {
            var sums: [String] = []
            for guest in [web1, web2] {
                // An emulated processor makes 128 MiB in a minute, while nothing else runs; once is enough.
                try await guest.succeed(
                    "mkdir -p /tmp/www; [ -s /tmp/www/stream ] || head -c \(StreamSize.bytes) /dev/urandom >/tmp/www/stream",
                    timeout: .seconds(180))
                try await guest.succeed("pidof httpd >/dev/null || httpd -h /tmp/www")
                sums.append(String(try await guest.succeed("sha256sum </tmp/www/stream", timeout: .seconds(180)).prefix(64)))
            }
            return sums
        }

        /// One stream into web1 and one out of it; as the guests got them.
        private func exchange() async throws -> [String] {
            var sums: [String] = []
            for (guest, address) in [(web2, EndToEnd.RunningGuests.address1), (web1, EndToEnd.RunningGuests.address2)] {
                sums.append(String(try await guest.succeed("wget -q -O - http://\(address)/stream | sha256sum").prefix(64)))
            }
            return sums
        }

        @Test func everyByteArrivesAtEachKindOfDestination() async throws {
            let far = try await FarMachine(host.lab)
            try await far.connect()
            try await host.reload(StreamKind.configuration)
            let sums = try await serve()
            for kind in StreamKind.all { try await expectWhole(kind, sums) }
            try await far.remove()
            try await host.reload()
        }

        /// A user of a guest needs no rights for it (TCP_MAXSEG), and the guest's system makes GSO packets of hundreds of segments then.
        @Test func everyByteArrivesOfTinySegments() async throws {
            let far = try await FarMachine(host.lab)
            try await far.connect()
            try await host.reload(StreamKind.configuration)
            let sums = try await serve()
            for guest in [web1, web2] { try await guest.succeed("ip route change \(Self.network) dev eth0 advmss 200") }
            let result: Result<Void, any Error>
            do {
                for kind in StreamKind.all where ["wire", "vxlan"].contains(kind.name) {
                    try await expectWhole(kind, sums, ofTinySegments: true)
                }
                result = .success(())
            } catch {
                result = .failure(error)
            }
            // The guests are others' next.
            for guest in [web1, web2] { try await guest.succeed("ip route change \(Self.network) dev eth0") }
            try result.get()
            try await far.remove()
            try await host.reload()
        }

        private static let network = "192.0.2.0/24"

        private func expectWhole(_ kind: StreamKind, _ sums: [String], ofTinySegments: Bool = false) async throws {
            let capture = try await StreamCapture(host.lab, at: kind.device, in: kind.namespace)
            try await host.setTap("web1", "--to", kind.name)
            try await host.wait(for: "web1", tap: kind.name)
            let before = try await sent(to: kind.name)
            let start = ContinuousClock.now
            #expect(try await exchange() == sums)
            let seconds = ContinuousClock.now - start
            try await capture.wait(for: Flow.send(20, from: web1, to: EndToEnd.RunningGuests.address2), 20)
            #expect(try await capture.stop() == 0, "\(kind.name)")
            async let first = capture.digest(ofConnection: 0, last: StreamSize.bytes)
            async let second = capture.digest(ofConnection: 1, last: StreamSize.bytes)
            #expect(try await [first, second] == sums, "\(kind.name)")
            try await expectNoLoss(kind.name)
            if ofTinySegments, kind.name == "wire" {
                // Segments that no guest has sent: those of GSO packets of more than 128.
                #expect(try await capture.count("tcp and greater 300") > 0)
                #expect(try await sent(to: kind.name) - before > 2 * UInt64(StreamSize.bytes) / 200, "and they count as the guest's")
            }
            print("stream: \(kind.name): 2 x \(StreamSize.megabytes) MiB in \(seconds)")
            try capture.remove()
            try await host.virtTapSucceeds("unset", "web1", kind.name)
            try await host.waitForEnd(of: "web1", tap: kind.name)
        }

        @Test func everyByteArrivesInASensorVM() async throws {
            try await host.reload(
                TappedHost.configuration.replacingOccurrences(
                    of: "</virt-tap>",
                    with: "<destination name='vm'><domain name='sensor' mac='\(StreamSensor.mac)'/></destination></virt-tap>"))
            let sensor = try await StreamSensor(host.lab)
            try await host.virtTapSucceeds("set", "web1", "--to", "vm")
            try await host.wait(for: "web1", tap: "vm")
            let sums = try await serve()
            #expect(try await exchange() == sums)
            try await sensor.wait(for: Flow.send(20, from: web1, to: EndToEnd.RunningGuests.address2), 20)
            #expect(try await sensor.stop() == 0)
            try await expectNoLoss("vm")
            let capture = try await sensor.fetch()
            async let first = StreamCapture.digest(capture, 0, last: StreamSize.bytes)
            async let second = StreamCapture.digest(capture, 1, last: StreamSize.bytes)
            #expect(try await [first, second] == sums)
            try await host.virtTapSucceeds("unset", "web1", "vm")
            try await host.waitForEnd(of: "web1", tap: "vm")
            try await sensor.remove()
            try await host.reload()
        }

        private func sent(to name: String) async throws -> UInt64 {
            try #require(try await host.status().destinations.first { $0.name == name }).sent.packets
        }

        private func expectNoLoss(_ name: String) async throws {
            let destination = try #require(try await host.status().destinations.first { $0.name == name })
            #expect(destination.state == .active && destination.errors.packets == 0, "\(destination)")
            for direction in ["inbound", "outbound"] {
                let counter = try await host.packets(of: web1, direction, tap: name)
                #expect(counter["seen"] == counter["copied"], "\(name) \(direction) \(counter)")
            }
        }
    }
}
