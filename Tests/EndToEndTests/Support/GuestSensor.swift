// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TestSupport

/// What a sensor VM sees: everything that arrives at its eth0, written by tcpdump inside the guest.
struct GuestSensor: Sendable {
    let guest: Guest

    /// Returns when tcpdump listens.
    init(_ guest: Guest) async throws {
        self.guest = guest
        try await guest.succeed(
            "rm -f /tmp/seen; tcpdump -n -i eth0 -Q in -s 0 -B 8192 -U --immediate-mode -Z root -w /tmp/seen 2>/tmp/said & echo $! >/tmp/pid"
        )
        try await eventually("tcpdump listens in \(guest.name)") { try await guest.run("grep -q 'listening on' /tmp/said").status == 0 }
    }

    /// How many frames of a flow there are so far.
    func count(of flow: Flow) async throws -> Int {
        let count = try await guest.succeed("tcpdump -n -Z root -r /tmp/seen udp port \(flow.port) 2>/dev/null | grep -c . || true")
        return Int(count.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
    }

    /// The digest of all bytes of a flow's frames, as `digest(of:in:)` has it of another capture.
    func digest(of flow: Flow) async throws -> String {
        try await guest.succeed("tcpdump -n -Z root -t -xx -r /tmp/seen udp port \(flow.port) 2>/dev/null | grep 0x | sha256sum")
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// The same of a capture on the host.
    static func digest(of flow: Flow, in sensor: Sensor) async throws -> String {
        let script = "tcpdump -n -Z root -t -xx -r \(sensor.path) udp port \(flow.port) 2>/dev/null | grep 0x | sha256sum"
        return try await sensor.host.succeed("sh", "-c", script).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    func stop() async throws { try await guest.succeed("kill $(cat /tmp/pid); rm -f /tmp/seen") }
}
