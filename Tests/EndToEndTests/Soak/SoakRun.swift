// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

/// A soak on two real hosts: steps that a seed decides, and from time to time a comparison of everything with the model.
struct SoakRun {
    private let pair: HostPair
    private let hands: SoakHands
    private var generator: SeededGenerator
    private var model = SoakModel()
    /// Numbered packets between the guests that stay, and captures of what reaches them.
    private var flows: [Flow] = []
    private var wires: [Sensor] = []
    private(set) var steps: [SoakStep] = []
    private(set) var checks = 0
    private let tells: Bool

    /// - Parameter tells: whether to print each step when it begins.
    init(_ pair: HostPair, seed: UInt64, tells: Bool) async throws {
        self.pair = pair
        self.tells = tells
        hands = SoakHands(pair: pair)
        generator = SeededGenerator(seed: seed)
        let rocks = model.guests.filter(\.value.stays).sorted { $0.key < $1.key }
        for (name, guest) in rocks { try await hands.start(name, guest, on: guest.place!) }
        for (name, guest) in rocks {
            try await hands.guest(name, on: guest.place!).ready()
            wires.append(try await Sensor(hands.host(guest.place!).lab, at: "tap-\(name)", direction: "out"))
        }
        for ((name, guest), (_, peer)) in zip(rocks, rocks.reversed()) {
            flows.append(try await Flow.start(hands.guest(name, on: guest.place!), to: peer.address, interval: 10))
        }
    }

    /// Takes so many steps, lets things settle, and compares.
    mutating func round(of count: Int) async throws {
        for _ in 1...count {
            let before = model
            let step = model.next(&generator)
            steps.append(step)
            if tells { Self.say("\(steps.count). \(step)") }
            do {
                try await hands.carryOut(step, from: before)
            } catch {
                throw failure("\(step): \(error)")
            }
            // At once, before something else makes a daemon look at everything again.
            for (number, host) in model.hosts.enumerated() where host.hasDaemon { try await settle(number) }
        }
        for (number, host) in model.hosts.enumerated() where !host.hasDaemon {
            try await hands.host(number).startDaemon()
            model.hosts[number].hasDaemon = true
        }
        try await compare()
        checks += 1
    }

    /// Ends the guests and finds nothing left.
    mutating func finish() async throws {
        for flow in flows { try await flow.stop() }
        try expectWholeFlows()
        for wire in wires { #expect(try await wire.stop() == 0) }
        for host in pair.hosts {
            try await host.endGuests()
            #expect(try await KernelPrograms.all(on: host.lab).isEmpty)
            #expect(try await host.status().taps.isEmpty)
            // Whatever was stopped and killed, libvirt called the hook at each start, and no tap was dropped by a definition.
            let log = host.lab.log("virt-tapd")
            #expect(!log.contains("no call of the hook came"))
            #expect(!log.contains("If that is not meant"))
            #expect(log.contains("the hook was called at its start"))
        }
    }

    /// How many of each action and fault there were.
    var tally: String {
        var counts: [String: Int] = [:]
        for step in steps {
            for action in step.actions { counts[action.name, default: 0] += 1 }
            if step.fault != .none { counts[step.fault.name, default: 0] += 1 }
        }
        return counts.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    }

    /// At once, and not when a buffer is full.
    static func say(_ words: String) { FileHandle.standardError.write(Data("soak: \(words)\n".utf8)) }

    // MARK: - Comparing

    private func compare() async throws {
        for number in pair.hosts.indices { try await settle(number) }
        try await compareCopies()
        try expectWholeFlows()
    }

    private func settle(_ number: Int) async throws {
        var last: [String] = []
        do {
            try await eventually("host \(number) settles", within: .seconds(60)) {
                last = try await differences(on: number)
                return last.isEmpty
            }
        } catch {
            throw failure("\(error)\n\(last.joined(separator: "\n"))")
        }
    }

    /// What the kernel and status say of a host and ought not to.
    private func differences(on number: Int) async throws -> [String] {
        let host = hands.host(number)
        var expected: [String: KernelPrograms] = [:]
        var pins: Set<String> = []
        var states: [String: String] = [:]
        for (name, guest) in model.guests(on: number) {
            let uuid = try await host.uuid(of: name)
            let interfaces = try await hands.interfaces(name, model)
            for (device, mac) in interfaces {
                let first = mac == guest.firstMAC
                let programs = KernelPrograms(
                    ingress: model.programs(.outbound, of: guest, first: first), egress: model.programs(.inbound, of: guest, first: first))
                if programs != KernelPrograms() { expected[device] = programs }
                let path = try host.lab.path("/sys/class/net/\(device)/ifindex")
                guard let ifindex = try? UInt32(String(contentsOfFile: path, encoding: .utf8).dropLast()) else {
                    return ["\(device) is not there"]
                }
                for tap in guest.taps where tap.isAttached(on: model.hosts[number]) && (first || !tap.isFirstOnly) {
                    pins.insert(AttachmentID(AttachmentKey(domain: uuid, origin: .domain, tap: TapName(tap.name)!, ifindex: ifindex)).text)
                }
            }
            for tap in guest.taps {
                let (state, reason) = tap.state(on: model.hosts[number])
                states["\(name)/\(tap.name)"] = "\(state.rawValue) \(reason?.rawValue ?? "")"
            }
        }
        let status = try await host.status()
        let shown = Dictionary(
            status.taps.map { ("\($0.domain)/\($0.name)", "\($0.state.rawValue) \($0.reason?.rawValue ?? "")") },
            uniquingKeysWith: { "\($0), \($1)" })
        let kernel = try await KernelPrograms.all(on: host.lab)
        let pinned = Set(try host.pins().keys.compactMap { $0.split(separator: "/").first.map(String.init) })
        var differences: [String] = []
        if kernel != expected { differences.append("the kernel has \(kernel), not \(expected)") }
        if pinned != pins { differences.append("there are pins \(pinned), not \(pins)") }
        if shown != states { differences.append("status says \(shown), not \(states)") }
        if status.daemon.connected != true { differences.append("the daemon is not connected") }
        return differences
    }

    /// Each guest says something to everybody, and each sensor gets it as often as it is to.
    private func compareCopies() async throws {
        var sensors: [(host: Int, destination: String, sensor: Sensor)] = []
        for number in pair.hosts.indices {
            for (destination, device) in model.hosts[number].devices where device != .deleted {
                sensors.append((number, destination, try await Sensor(hands.host(number).lab, at: "\(destination)1")))
            }
        }
        var said: [(name: String, flow: Flow)] = []
        for number in pair.hosts.indices {
            for (name, _) in model.guests(on: number) {
                let guest = hands.guest(name, on: number)
                // Where it said that it is ready may have been the other host.
                try await eventually("\(name) answers", within: .seconds(90)) { (try? await guest.run("true"))?.status == 0 }
                said.append((name, try await Flow.send(15, from: guest, to: "192.0.2.255")))
            }
        }
        for (number, destination, sensor) in sensors {
            for (name, flow) in said {
                let times = model.copies(of: name, at: destination, on: number)
                let expected = (1...15).flatMap { Array(repeating: $0, count: times) }
                var numbers: [Int] = []
                do {
                    try await eventually("copies", within: .seconds(30)) {
                        numbers = try flow.numbers(in: sensor).sorted()
                        return numbers == expected
                    }
                } catch {
                    throw failure("\(destination) on host \(number) got of \(name)'s packets \(numbers), not each \(times) times")
                }
            }
        }
        for (_, _, sensor) in sensors { #expect(try await sensor.stop() == 0) }
    }

    /// The traffic of the guests is what it would be without us: what one sent has reached the other, without a gap.
    private func expectWholeFlows() throws {
        for (flow, wire) in zip(flows, wires.reversed()) {
            let numbers = try flow.numbers(in: wire)
            guard let last = numbers.last, numbers == Array(1...last) else {
                throw failure("\(flow.guest.name)'s packets did not all arrive: \(Self.gaps(numbers))")
            }
        }
        // A guest that comes and goes counts from one at each boot.
        for (name, guest) in model.guests where !guest.stays {
            for wire in wires {
                let numbers = try wire.numbers("ping", from: name)
                guard zip(numbers, numbers.dropFirst()).allSatisfy({ $1 == $0 + 1 || $1 == 1 }) else {
                    throw failure("\(name)'s packets did not all arrive at \(wire.device): \(Self.gaps(numbers))")
                }
            }
        }
    }

    private static func gaps(_ numbers: [Int]) -> String {
        zip(numbers, numbers.dropFirst()).filter { $1 != $0 + 1 }.map { "\($0) then \($1)" }.joined(separator: ", ")
    }

    private func failure(_ what: String) -> NeverHappened {
        let story = steps.enumerated().suffix(16).map { "  \($0 + 1). \($1)" }.joined(separator: "\n")
        return NeverHappened(description: "\(what)\nthe last steps:\n\(story)\nwhat ought to be: \(model)")
    }
}
