// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Foundation
import Glibc

/// TCP from one guest to another on the same bridge by iperf3, through a tap on each guest's device; interleaved with the
/// untapped path as the frames of `PathBenchmark` are.
///
/// All of it shares the machine's processors, so that what a tap costs lowers the throughput.
final class GuestBenchmark {
    private let guests: [GuestNamespace]
    private let sensor: FarEnd
    private let server = Process()
    private let destination = "mon1"
    private static let bridge = "br1"

    init() throws {
        try Quiet.network()
        try ip(
            """
            link add \(Self.bridge) type bridge mcast_snooping 0
            link add mon1 type veth peer name sensor1
            link set \(Self.bridge) up
            link set mon1 up
            link set sensor1 up

            """)
        sensor = try FarEnd(on: "sensor1")
        guests = try [GuestNamespace(1, bridge: Self.bridge), GuestNamespace(2, bridge: Self.bridge)]
        server.executableURL = URL(filePath: "/usr/bin/env")
        server.arguments = ["ip", "netns", "exec", guests[1].name, "iperf3", "--server", "--bind", guests[1].address]
        server.standardOutput = FileHandle.nullDevice
        server.standardError = FileHandle.nullDevice
        server.standardInput = FileHandle.nullDevice
        try server.run()
    }

    deinit {
        server.terminate()
        server.waitUntilExit()
        for device in [Self.bridge, destination] { _ = try? run("ip", "link", "del", device) }
    }

    func measure(_ variants: [GuestVariant], rounds: Int, seconds: Int) throws -> [GuestResult] {
        try waitForServer()
        var untapped = GuestResult(.untapped)
        var results = variants.map { GuestResult($0) }
        for round in 0..<rounds {
            var before = try sample(.untapped, seconds, &untapped)
            for step in results.indices {
                let index = (step + round) % results.count
                guard results[index].error == nil else { continue }
                var reached: Double?
                do { reached = try sample(variants[index], seconds, &results[index]) } catch {
                    results[index].error = "\(error)"
                    continue
                }
                let after = try sample(.untapped, seconds, &untapped)
                if reached != nil, let before, let after { results[index].beside.append((before + after) / 2) }
                if let before, let after { untapped.beside.append(after / before) }
                before = after
            }
        }
        return [untapped] + results
    }

    private func waitForServer() throws {
        for _ in 0..<50 {
            if (try? transfer(seconds: 1)) != nil { return }
            usleep(100_000)
        }
        throw BenchmarkFailure("no TCP from guest to guest")
    }

    /// Gigabits a second.
    private func transfer(seconds: Int) throws -> Double {
        let text = try run(
            "ip", "netns", "exec", guests[0].name, "iperf3", "--client", guests[1].address, "--time", "\(seconds)", "--json")
        struct Answer: Decodable {
            struct End: Decodable {
                struct Sum: Decodable { var bits_per_second: Double }
                var sum_received: Sum
            }
            var end: End
        }
        return try JSONDecoder().decode(Answer.self, from: Data(text.utf8)).end.sum_received.bits_per_second / 1e9
    }

    /// - Returns: `nil` when it does not count.
    private func sample(_ variant: GuestVariant, _ seconds: Int, _ result: inout GuestResult) throws -> Double? {
        let attached = try variant.attach(guests, destination, if_nametoindex(destination))
        defer { for each in attached { try? each.detach() } }
        let before = try counts()
        let gigabits = try transfer(seconds: seconds)
        // TCP says goodbye, and the relays carry on what is under way.
        usleep(100_000)
        let after = try counts()
        let expected: UInt64
        switch variant.copies {
        case .none: expected = 0
        case .outbound: expected = after.outbound - before.outbound
        case .both: expected = after.outbound - before.outbound + after.inbound - before.inbound
        }
        let arrived = after.copies - before.copies
        guard arrived == expected else {
            result.objections.append("\(arrived) copies arrived, where \(expected) must")
            return nil
        }
        result.gigabits.append(gigabits)
        result.copies.append(Double(arrived) / Double(seconds))
        return gigabits
    }

    private func counts() throws -> (outbound: UInt64, inbound: UInt64, copies: UInt64) {
        let passed = try guests.map { try $0.passed() }
        return (passed.reduce(0) { $0 + $1.outbound }, passed.reduce(0) { $0 + $1.inbound }, try sensor.count().frames)
    }
}
