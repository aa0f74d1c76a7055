// SPDX-License-Identifier: LGPL-2.1-or-later

import Testing

@testable import TapModel

@Suite("Taps that are gone, and nobody took them away")
struct TapLossWatchTests {
    private let web1 = DomainUUID("00000000-0000-4000-8000-000000000001")!
    private var memory = TapLossWatch()

    init() { memory.connected(at: 0) }

    /// What libvirt says of web1. Without `persistent` the domain is transient; without `live` it does not run.
    private mutating func see(live: Set<String>? = nil, persistent: Set<String>? = nil, at now: Double) {
        func names(_ texts: Set<String>) -> Set<TapName> { Set(texts.map { TapName($0)! }) }
        let sight = TapLossWatch.Sight(
            name: "web1", isRunning: live != nil, isPersistent: persistent != nil, live: live.map(names) ?? [],
            persistent: persistent.map(names))
        memory.take(sight, of: web1, asked: now)
    }

    private mutating func losses(at now: Double) -> [TapLossWatch.Loss.Kind: Set<String>] {
        Dictionary(uniqueKeysWithValues: memory.due(at: now).map { ($0.kind, Set($0.taps.map(\.text))) })
    }

    @Test("The definition of a guest that runs is written anew: said once, and not again at its next start")
    mutating func definedWhileItRuns() {
        see(live: ["ids"], persistent: ["ids"], at: 10)
        see(live: ["ids"], persistent: [], at: 20)
        #expect(memory.nextLoss == 25)
        #expect(losses(at: 24).isEmpty)
        #expect(losses(at: 25) == [.atNextStart: ["ids"]])
        see(persistent: [], at: 30)
        see(live: [], persistent: [], at: 40)
        see(persistent: [], at: 50)
        #expect(losses(at: 60).isEmpty)
    }

    @Test("One of two taps, and a domain that is off")
    mutating func partly() {
        see(persistent: ["ids", "span"], at: 10)
        see(persistent: ["span"], at: 20)
        #expect(losses(at: 25) == [.atOnce: ["ids"]])
    }

    @Test("One of two is back in time: the other is still said of")
    mutating func partlyBack() {
        see(persistent: ["ids", "span"], at: 10)
        see(persistent: [], at: 20)
        see(persistent: ["ids"], at: 22)
        #expect(losses(at: 27) == [.atOnce: ["span"]])
    }

    @Test("Metadata that were written explain it, whether that is reported before or after it is read", arguments: [15.0, 20.5, 24.9])
    mutating func explained(event: Double) {
        see(live: ["ids"], persistent: ["ids"], at: 10)
        if event < 20 { memory.written(web1, at: event) }
        see(live: [], persistent: [], at: 20)
        if event > 20 { memory.written(web1, at: event) }
        #expect(losses(at: 30).isEmpty)
        // What comes later it does not explain.
        see(live: ["ids"], persistent: ["ids"], at: 40)
        see(live: ["ids"], persistent: ["ids"], at: 41)
        see(live: ["ids"], persistent: [], at: 50)
        #expect(losses(at: 60) == [.atNextStart: ["ids"]])
    }

    @Test("Undefined and defined again, as a cloud does it at a hard reboot")
    mutating func definedAgain() {
        see(live: ["ids"], persistent: ["ids"], at: 10)
        see(persistent: ["ids"], at: 20)
        memory.gone(web1, at: 21)
        memory.gone(web1, at: 22)
        #expect(losses(at: 30).isEmpty)
        see(persistent: [], at: 40)
        see(live: [], persistent: [], at: 41)
        #expect(losses(at: 50) == [.atOnce: ["ids"]])
        // One that is gone for good is forgotten.
        see(persistent: ["ids"], at: 60)
        memory.gone(web1, at: 70)
        memory.gone(DomainUUID("00000000-0000-4000-8000-000000000002")!, at: 70 + TapLossWatch.memory)
        see(persistent: [], at: 71 + TapLossWatch.memory)
        #expect(losses(at: 100 + TapLossWatch.memory).isEmpty)
    }

    @Test("A transient domain that is made anew")
    mutating func transient() {
        see(live: ["ids"], at: 10)
        memory.gone(web1, at: 20)
        see(live: ["ids"], at: 30)
        memory.gone(web1, at: 40)
        see(live: [], at: 50)
        #expect(losses(at: 60) == [.atOnce: ["ids"]])
    }

    @Test("What was only in the definition that ran is no loss of the domain's, and is said all the same")
    mutating func liveOnly() {
        see(live: ["debug", "ids"], persistent: ["ids"], at: 10)
        see(persistent: ["ids"], at: 20)
        #expect(losses(at: 30) == [.withTheRun: ["debug"]])
        see(live: ["ids"], persistent: ["ids"], at: 40)
        see(persistent: ["ids"], at: 50)
        #expect(losses(at: 60).isEmpty)
    }

    @Test("What comes from another host was perhaps removed there")
    mutating func migrated() {
        see(live: ["ids"], persistent: ["ids"], at: 10)
        memory.gone(web1, at: 20)
        memory.forget(web1)
        see(live: [], at: 30)
        see(live: [], persistent: [], at: 31)
        #expect(losses(at: 40).isEmpty)
    }

    @Test("What is back in time is no loss; what cannot be read says nothing")
    mutating func back() {
        see(live: ["ids"], persistent: ["ids"], at: 10)
        see(live: ["ids"], persistent: [], at: 20)
        see(live: ["ids"], persistent: ["ids"], at: 22)
        #expect(losses(at: 30).isEmpty)
        memory.take(TapLossWatch.Sight(name: "web1", isRunning: true, isPersistent: true, live: nil, persistent: nil), of: web1, asked: 40)
        #expect(losses(at: 50).isEmpty)
        see(live: ["ids"], persistent: [], at: 60)
        #expect(losses(at: 70) == [.atNextStart: ["ids"]])
    }

    @Test("After a break nobody knows who took it away")
    mutating func unwatched() {
        see(live: ["ids"], persistent: ["ids"], at: 10)
        memory.connected(at: 20)
        see(live: [], persistent: [], at: 21)
        #expect(memory.due(at: 30).map(\.isUnwatched) == [true])
        see(live: ["ids"], persistent: ["ids"], at: 40)
        see(live: [], persistent: [], at: 50)
        #expect(memory.due(at: 60).map(\.isUnwatched) == [false])
    }
}
