// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TestSupport

/// A sensor VM with room for a long stream: copies come in at its eth1, and what tcpdump has written there is fetched by eth0.
struct StreamSensor: Sendable {
    static let mac = "52:54:00:77:77:77"
    private static let address = "192.0.2.13"
    let guest: Guest

    /// Boots it, and returns when tcpdump listens in it.
    init(_ host: LabHost) async throws {
        try await host.succeed("ip", "link", "add", "br7", "up", "type", "bridge", "mcast_snooping", "0")
        var options = GuestOptions(ip: "\(Self.address)/24")
        options.interfaces = [
            "<interface type='bridge'><mac address='\(Self.mac)'/><source bridge='br7'/><model type='virtio'/><rom enabled='no'/></interface>"
        ]
        options.tcpdump = true
        options.memory = 256 + 3 * StreamSize.megabytes
        guest = try await host.guest("sensor", options)
        try await guest.succeed(
            "mkdir -p /tmp/www; tcpdump -n -i eth1 -Q in -s 0 -B 65536 -U -Z root -w /tmp/www/seen 2>/tmp/said & echo $! >/tmp/pid")
        try await eventually("tcpdump listens in the sensor") { try await guest.run("grep -q 'listening on' /tmp/said").status == 0 }
    }

    /// Waits until the copies of this flow are there, which come behind all others.
    func wait(for flow: Flow, _ count: Int) async throws {
        let last = "vt \(flow.kind) \(flow.guest.name) \(count)"
        try await eventually("packet \(count) of \(flow.kind) in the sensor") {
            try await guest.run("tail -c 100000 /tmp/www/seen | grep -qa '\(last)'").status == 0
        }
    }

    /// Ends the capture and says how many packets tcpdump's socket had no room for.
    func stop() async throws -> Int {
        // Once was not always enough while it waited for packets.
        try await eventually("tcpdump's closing words in the sensor", within: .seconds(30)) {
            try await guest.run("kill -INT $(cat /tmp/pid); sleep 1; grep -q 'dropped by kernel' /tmp/said").status == 0
        }
        let words = try await guest.succeed("grep 'dropped by kernel' /tmp/said")
        return Int(words.prefix { $0.isNumber }) ?? -1
    }

    /// Brings the capture to the host.
    func fetch() async throws -> String {
        let path = "\(guest.host.folder)/sensor.pcap"
        try await guest.succeed("httpd -h /tmp/www")
        try await guest.host.succeed("busybox", "wget", "-q", "-O", path, "http://\(Self.address)/seen", timeout: .seconds(120))
        return path
    }

    func remove() async throws {
        try await guest.destroy()
        try await guest.host.virsh("undefine", "--domain", guest.name)
        try await guest.host.succeed("ip", "link", "delete", "br7")
    }
}
