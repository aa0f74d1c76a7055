// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TestSupport

/// What a sensor would see: everything that arrives at one device of a host, written by tcpdump.
struct Sensor: Sendable {
    let host: LabHost
    let device: String
    private let label: String

    /// Makes a veth pair, copies sent to `near` arrive at `far`, and captures at `far`.
    static func pair(_ host: LabHost, near: String = "mon0", far: String = "mon1") async throws -> Sensor {
        try await host.succeed("ip", "link", "add", near, "type", "veth", "peer", "name", far)
        try await host.succeed("ip", "link", "set", near, "up")
        try await host.succeed("ip", "link", "set", far, "up")
        return try await Sensor(host, at: far)
    }

    /// Captures what comes in at a device of the host, or with "inout" what goes out of it too; returns when tcpdump
    /// listens.
    init(_ host: LabHost, at device: String, direction: String = "in") async throws {
        self.host = host
        self.device = device
        let label = "sensor-\(UInt32.random(in: 0 ... .max))"
        self.label = label
        // -Z root: tcpdump would give up root, and its file with it.
        try await host.start(
            label,
            [
                "tcpdump", "-n", "-i", device, "-Q", direction, "-s", "0", "-B", "16384", "-U", "--immediate-mode", "-Z", "root", "-w",
                "\(host.folder)/\(label).pcap",
            ])
        try await eventually("tcpdump listens on \(device)") { host.log(label).contains("listening on") }
    }

    /// The capture, which grows.
    var path: String { "\(host.folder)/\(label).pcap" }

    /// The frames so far, in order.
    func frames() throws -> [CapturedFrame] {
        try CapturedFrame.readAll(from: Data(contentsOf: URL(fileURLWithPath: "\(host.folder)/\(label).pcap")))
    }

    /// The numbered packets of a guest's generator so far, in order: kind "burst" or "ping".
    func numbers(_ kind: String, from guest: String) throws -> [Int] {
        try frames().compactMap { $0.number(kind, from: guest) }
    }

    /// Waits until so many frames that pass the test have come.
    func wait(for count: Int, within limit: Duration = .seconds(60), where test: @Sendable (CapturedFrame) -> Bool) async throws {
        try await eventually("\(count) such frames at \(device)", within: limit) { try frames().count(where: test) >= count }
    }

    /// Ends the capture and says how many packets tcpdump's socket had no room for. A test that counts wants 0.
    func stop() async throws -> Int {
        try await host.stop(label, signal: "INT")
        let line = host.log(label).split(separator: "\n").last { $0.contains("dropped by kernel") }
        guard let line, let count = Int(line.prefix { $0 != " " }) else {
            throw NeverHappened(description: "tcpdump's closing words on \(device): \(host.log(label))")
        }
        return count
    }
}
