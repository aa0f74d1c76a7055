// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TestSupport
import Testing

extension EndToEnd {
    /// The tap travels with the domain, between two hosts with a libvirtd, a daemon and a sensor each.
    ///
    /// `mover` is on host one at the beginning and at the end of each test; `peer`, with which it talks, stays on two.
    @Suite(
        .serialized,
        .hostPair { pair in
            async let mover = pair.one.lab.guest("mover", GuestOptions(ip: "192.0.2.11/24"))
            var options = GuestOptions()
            options.nics = ["bridge=br0,ip=192.0.2.12/24,target=tap-peer"]
            async let peer = pair.two.lab.guest("peer", options)
            _ = try await (mover, peer)
        })
    struct MigrationTests {
        let pair: HostPair = .current
        var one: TappedHost { pair.one }
        var two: TappedHost { pair.two }
        var mover: Guest { Guest(host: one.lab, name: "mover") }

        /// There with its memory first, and back with its memory last.
        @Test func everyPacketOfAGuestThatMovesIsInOneOfTheTwoCopies() async throws {
            try await mover.setMetadata("<tap to='ids'/>", persistently: true)
            #expect(try await one.wait(for: "mover").definition == .both)
            let talk = try await MigrationTalk(pair)
            try await talk.moves(at: talk.atOne)

            var start = ContinuousClock.now
            let moved = try await pair.move(mover, "--persistent", "--undefinesource")
            #expect(try await two.wait(for: "mover").definition == .both)
            try expectNoGap(on: two, since: start)
            try await talk.moves(at: talk.atTwo)
            try await expectNothingLeft(on: one)

            start = .now
            async let back = pair.move(moved, "--persistent", "--undefinesource", "--postcopy", "--bandwidth", "1")
            try await eventually("the guest runs ahead of its memory") {
                try await two.lab.run("virsh", "migrate-postcopy", "mover").status == 0
            }
            _ = try await back
            #expect(try await one.wait(for: "mover").definition == .both)
            try expectNoGap(on: one, since: start)
            try await talk.moves(at: talk.atOne)
            try await expectNothingLeft(on: two)

            try await talk.stop()
            let sent = try await talk.copies(of: talk.sent)
            let received = try await talk.copies(of: talk.received)
            for copies in [sent, received] {
                // None missing, none twice, and on each host in the order in which they were sent.
                #expect((copies.atOne + copies.atTwo).sorted() == Array(1...copies.total))
                #expect(copies.atOne == copies.atOne.sorted() && copies.atTwo == copies.atTwo.sorted())
                #expect(copies.atOne.count >= 40 && copies.atTwo.count >= 20)
            }
            // What is for everybody reaches both hosts' devices while both exist; each shows what it saw.
            let flooded = try await talk.copies(of: talk.flooded)
            #expect(Set(flooded.atOne + flooded.atTwo) == Set(1...flooded.total))
            #expect(flooded.atTwo == Array(flooded.atTwo[0]...flooded.atTwo[flooded.atTwo.count - 1]))
            #expect(flooded.atOne == Array(Set(flooded.atOne)).sorted())
            try await withoutTaps()
        }

        @Test func aMigrationThatComesToNothingCostsNothing() async throws {
            try await one.reload(Self.withOwnDestination)
            try await mover.setMetadata("<taps><tap to='ids'/><tap name='must' to='only-one'/></taps>", persistently: true)
            try await one.wait(for: "mover")
            try await one.wait(for: "mover", tap: "must")
            let pins = try await one.pins(of: mover)
            let talk = try await MigrationTalk(pair)
            try await talk.moves(at: talk.atOne)
            let since = try await one.tap(of: "mover")?.interfaces.first?.since

            func expectAsBefore(_ result: CommandResult, _ why: String) async throws {
                #expect(result.status != 0)
                #expect(result.errorText.contains(why), "\(result.errorText)")
                #expect(try await mover.state == "running")
                try await expectNothingLeft(on: two)
                let taps = try await one.taps(of: "mover")
                #expect(taps.map(\.state) == [.active, .active] && taps.map(\.definition) == [.both, .both])
                #expect(try await one.pins(of: mover) == pins)
                try await talk.moves(at: talk.atOne, by: 5)
            }
            for cancel in Cancellation.allCases {
                // Slow enough to be ended in the middle.
                async let result = pair.migrate(mover, cancel == .killed ? ["--bandwidth", "1"] : Self.staying + ["--bandwidth", "1"])
                // There it is tapped by then.
                try await two.wait(for: "mover")
                try await eventually("the migration is ended") { try await cancel.carryOut(pair) }
                try await expectAsBefore(await result, cancel.words)
            }
            // Another's hook says no after ours has attached.
            try two.lab.write("#!/bin/sh\n[ \"$2\" != start ] || exit 1\n", to: Self.strangersHook, mode: 0o755)
            try await expectAsBefore(await pair.migrate(mover, Self.staying), "zz-stranger")
            try await two.lab.succeed("rm", Self.strangersHook)

            try await two.lab.succeed("ip", "link", "set", "br0", "name", "br9")
            try await expectAsBefore(await pair.migrate(mover), "br0")
            try await two.lab.succeed("ip", "link", "set", "br9", "name", "br0")

            try await mover.setMetadata("<taps><tap to='ids'/><tap name='must' to='only-one' required='yes'/></taps>", persistently: true)
            try await one.wait(for: "mover", tap: "must", "is required") { $0.required == true && $0.state == .active }
            try await expectAsBefore(
                await pair.migrate(mover, Self.staying), "required tap must is not in place: no-such-destination")
            // With nobody there to place it, too.
            try await two.stopDaemon()
            let refused = try await pair.migrate(mover, "--persistent")
            try await two.startDaemon()
            try await expectAsBefore(refused, "required tap must is not in place")

            try await talk.stop()
            for flow in [talk.sent, talk.received] {
                let copies = try await talk.copies(of: flow)
                #expect(copies.atOne == Array(1...copies.total))
                #expect(copies.atTwo.isEmpty)
            }
            #expect(try await one.tap(of: "mover")?.interfaces.first?.since == since)
            try await withoutTaps()
        }

        @Test func eachHostSaysWhatItCannotDo() async throws {
            try await one.reload(Self.withOwnDestination)
            try await mover.setMetadata("<taps><tap to='ids'/><tap name='here' to='only-one'/></taps>", persistently: true)
            try await one.wait(for: "mover", tap: "here")
            // Without --persistent the definition stays where it was.
            let moved = try await pair.move(mover)
            #expect(try await two.wait(for: "mover").definition == .liveOnly)
            let there = try await two.wait(for: "mover", tap: "here", .failed, .noSuchDestination)
            #expect(there.definition == .liveOnly && there.interfaces.isEmpty)
            for tap in ["ids", "here"] {
                #expect(try await one.wait(for: "mover", tap: tap, .pending, .domainNotRunning).definition == .configOnly)
            }
            try await eventually("the source has nothing left of it") { try one.pins().isEmpty }

            _ = try await pair.move(moved)
            #expect(try await one.wait(for: "mover").definition == .both)
            #expect(try await one.wait(for: "mover", tap: "here").definition == .both)
            try await expectNothingLeft(on: two)
            try await withoutTaps()
        }

        private static let staying = ["--persistent", "--undefinesource"]
        private static let strangersHook = "/etc/libvirt/hooks/qemu.d/zz-stranger"
        private static let withOwnDestination = TappedHost.configuration.replacingOccurrences(
            of: "</virt-tap>", with: "<destination name='only-one'><interface name='span0'/></destination></virt-tap>")

        /// What the log says of the arrival that began at `start`: the taps were there first, for how long.
        private func expectNoGap(on host: TappedHost, since start: ContinuousClock.Instant) throws {
            let line = try #require(host.lab.log("virt-tapd").split(separator: "\n").last { $0.contains("before the guest ran") })
            #expect(line.contains("mover: taps in place") && line.hasSuffix("no gap"), "\(line)")
            let words = line.split(separator: " ")
            let lead = try #require(words.firstIndex(of: "ms").flatMap { Int(words[$0 - 1]) })
            #expect(lead > 0 && .milliseconds(lead) < ContinuousClock.now - start, "\(line)")
        }

        private func expectNothingLeft(on host: TappedHost) async throws {
            try await eventually("nothing of the guest is left") {
                guard try await host.taps(of: "mover").isEmpty, try host.pins().isEmpty else { return false }
                return try await !host.lab.succeed("ip", "-br", "link").contains("vnet")
            }
        }

        private func withoutTaps() async throws {
            try await one.reload()
            for place in ["--live", "--config"] {
                try await one.lab.virsh("metadata", "--domain", "mover", "--uri", Guest.tapNamespace, place, "--remove")
            }
            try await expectNoTaps()
        }

        private func expectNoTaps() async throws {
            try await eventually("the guest has no taps") {
                guard try await one.taps(of: "mover").isEmpty else { return false }
                return try one.pins().isEmpty
            }
        }
    }
}

/// Ways to end a migration that is under way.
private enum Cancellation: CaseIterable {
    case aborted, killed

    /// - Returns: whether there was something to end.
    func carryOut(_ pair: HostPair) async throws -> Bool {
        switch self {
        case .aborted: try await pair.one.lab.run("virsh", "domjobabort", "mover").status == 0
        case .killed: try await pair.two.lab.run("sh", "-c", "kill -9 $(cat /run/libvirt/qemu/mover.pid)").status == 0
        }
    }

    /// What virsh says then.
    var words: String {
        switch self {
        case .aborted: "canceled by client"
        case .killed: "error"
        }
    }
}

/// What `mover` and `peer` say to each other every 10 ms, and captures of the copies on both hosts.
private struct MigrationTalk {
    /// By the guest that moves.
    let sent: Flow
    /// To it alone.
    let received: Flow
    /// To everybody.
    let flooded: Flow
    let atOne: Sensor
    let atTwo: Sensor
    /// The device of the guest that stays: all that it was sent, and sent.
    private let original: Sensor
    private let pair: HostPair

    init(_ pair: HostPair) async throws {
        self.pair = pair
        atOne = try await Sensor(pair.one.lab, at: "ids1")
        atTwo = try await Sensor(pair.two.lab, at: "ids1")
        original = try await Sensor(pair.two.lab, at: "tap-peer", direction: "inout")
        let peer = Guest(host: pair.two.lab, name: "peer")
        sent = try await Flow.start(Guest(host: pair.one.lab, name: "mover"), to: "192.0.2.12", interval: 10)
        received = try await Flow.start(peer, to: "192.0.2.11", interval: 10)
        flooded = try await Flow.start(peer, to: "192.0.2.255", interval: 10)
    }

    func moves(at sensor: Sensor, by count: Int = 20) async throws {
        try await sent.moves(at: sensor, by: count)
        try await received.moves(at: sensor, by: count)
    }

    /// Ends it, the guest being on host one.
    func stop() async throws {
        for flow in [sent, received, flooded] { try await flow.stop() }
    }

    /// The numbers of a flow on each host, when all that the other guest's device saw are there. The guests' own traffic
    /// is whole, too.
    func copies(of flow: Flow) async throws -> (atOne: [Int], atTwo: [Int], total: Int) {
        let numbers = try flow.numbers(in: original)
        let total = try #require(numbers.last)
        #expect(numbers == Array(1...total))
        try await eventually("the last copy of \(flow.guest.name)'s arrives") {
            try flow.numbers(in: atOne).last == total || flow.numbers(in: atTwo).last == total
        }
        return (try flow.numbers(in: atOne), try flow.numbers(in: atTwo), total)
    }
}
