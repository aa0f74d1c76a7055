// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TestSupport

/// Numbered UDP packets that a guest sends until it is stopped, with a number of its own for each flow.
struct Flow: Sendable {
    let guest: Guest
    /// A word that no other flow of this run has.
    let kind: String
    let port: Int

    private init(_ guest: Guest, port: Int) {
        self.guest = guest
        self.port = port
        kind = "flow\(UInt32.random(in: 0 ... .max))"
    }

    /// - Parameters:
    ///   - interval: milliseconds between packets.
    ///   - size: bytes of each packet's payload; as short as it can be if that is more.
    static func start(
        _ guest: Guest, to address: String, port: Int = 40002, interval: Int = 5, size: Int = 0, device: String = "eth0"
    ) async throws -> Flow {
        let flow = Flow(guest, port: port)
        try await guest.succeed(
            "\(flow.sender(device, address, interval, count: 0, size: size)) >/dev/null 2>&1 & echo $! >/tmp/\(flow.kind)")
        return flow
    }

    /// Sends so many and returns when they are sent.
    @discardableResult
    static func send(
        _ count: Int, from guest: Guest, to address: String, port: Int = 40002, device: String = "eth0"
    ) async throws -> Flow {
        let flow = Flow(guest, port: port)
        try await guest.succeed(flow.sender(device, address, 1, count: count, size: 0))
        return flow
    }

    func stop() async throws {
        try await guest.succeed("kill $(cat /tmp/\(kind)); rm /tmp/\(kind)")
    }

    /// Its numbers in a capture so far, in order.
    func numbers(in sensor: Sensor) throws -> [Int] {
        try sensor.numbers(kind, from: guest.name)
    }

    /// Its frames in a capture so far.
    func frames(in sensor: Sensor) throws -> [CapturedFrame] {
        try sensor.frames().filter { $0.number(kind, from: guest.name) != nil }
    }

    /// Waits until more of it arrives than has by now.
    func moves(at sensor: Sensor, by count: Int = 20) async throws {
        let before = try numbers(in: sensor).count
        try await eventually("\(count) more packets of \(guest.name) at \(sensor.device)") {
            try numbers(in: sensor).count >= before + count
        }
    }

    /// Waits until all numbers up to this one are there.
    func isComplete(at sensor: Sensor, _ count: Int) async throws {
        try await eventually("\(count) packets of \(guest.name) at \(sensor.device)") { try numbers(in: sensor) == Array(1...count) }
    }

    private func sender(_ device: String, _ address: String, _ interval: Int, count: Int, size: Int) -> String {
        "vt-send \(device) \(address) \(port) \(count) \(interval) \(kind) \(guest.name) \(size)"
    }
}
