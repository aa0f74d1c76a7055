// SPDX-License-Identifier: LGPL-2.1-or-later

import Synchronization
import TapControl
import TapModel
import Testing

@testable import TapCommands

@Suite("What a daemon makes of a change")
struct ChangeConfirmationTests {
    private static let tap = Tap(name: Samples.name("ids"), destination: .named(Samples.name("ids")))
    private let expectation = TapExpectation(domain: "web1", uuid: Samples.uuid, tap: tap)

    /// The documents one after the other, the last one again and again.
    private func confirmation(
        _ expectation: TapExpectation, _ documents: [StatusDocument], grace: Duration = .milliseconds(200)
    ) async -> (done: String?, warning: String?, isUnhealthy: Bool, looks: Int) {
        let looks = Mutex(0)
        let clock = InstantClock()
        let confirmation = await ChangeConfirmation.wait(
            for: expectation, timeout: max(.seconds(1), grace), grace: grace, interval: .milliseconds(5), clock: clock
        ) {
            _ throws(ControlError) in
            looks.withLock {
                $0 += 1
                return documents[min($0, documents.count) - 1]
            }
        }
        return (confirmation.done, confirmation.warning, confirmation.isUnhealthy, looks.withLock { $0 })
    }

    private func document(_ state: TapState, _ reason: Reason? = nil, _ change: (inout TapStatus) -> Void = { _ in }) -> StatusDocument {
        var tap = Samples.tap("web1", state: state, reason: reason, message: reason.map { _ in "so\u{1B}" })
        change(&tap)
        return Samples.document([tap])
    }

    @Test("An active tap is reported at once; until the daemon has executed the change, the command waits")
    func active() async {
        let at = await confirmation(expectation, [document(.active)])
        #expect(at.done == "web1: tap ids: active, copying to ids" && at.warning == nil && at.looks == 1)
        let later = await confirmation(
            expectation,
            [Samples.document([]), document(.active) { $0.direction = .inbound }, document(.pending, .attachFailed), document(.active)])
        #expect(later.done != nil && later.looks == 4)
        let off = await confirmation(
            TapExpectation(
                domain: "web1", uuid: Samples.uuid,
                tap: Tap(name: Samples.name("ids"), destination: .named(Samples.name("ids")), enabled: false)),
            [document(.disabled, .disabledByMetadata) { $0.enabled = false }])
        #expect(off.done == "web1: tap ids: switched off")
    }

    @Test("A failure is reported with its reason, and what passes by itself is no failure")
    func failed() async {
        let failed = await confirmation(expectation, [document(.failed, .noSuchDestination)])
        #expect(failed.done == nil && failed.warning == "web1: tap ids is failed: so\\u{1b} (no-such-destination)" && failed.looks == 2)
        // What may pass by itself has a moment for it, and no more.
        let awaited = document(.failed, .neighbourUnreachable)
        #expect(await confirmation(expectation, [awaited, awaited, awaited, document(.active)], grace: .seconds(30)).done != nil)
        let down = await confirmation(expectation, [document(.failed, .destinationDown)])
        #expect(down.warning == "web1: tap ids is failed: so\\u{1b} (destination-down)" && down.looks > 2 && down.isUnhealthy)
        #expect(await confirmation(expectation, [document(.failed, .deviceGone), document(.active)]).done != nil)
        let pending = await confirmation(expectation, [document(.pending, .deviceGone)])
        #expect(pending.warning == "web1: tap ids is pending: so\\u{1b} (device-gone)")
        #expect(await confirmation(expectation, [Samples.document([])]).warning?.contains("has not seen the change yet") == true)
        #expect(await confirmation(expectation, [document(.active) { $0.definition = .configOnly }]).done == nil)
    }

    @Test("Only a tap that does not work fails set, not one that is late or switched off")
    func unhealthy() async {
        for state in [TapState.failed, .denied, .degraded, .unsupported] {
            #expect(await confirmation(expectation, [document(state, .attachFailed)]).isUnhealthy, "\(state)")
        }
        for state in [TapState.active, .pending, .disabled] {
            let reason: Reason? = state == .active ? nil : state == .pending ? .deviceGone : .disabledByHost
            #expect(await !confirmation(expectation, [document(state, reason)]).isUnhealthy, "\(state)")
        }
        #expect(
            await confirmation(expectation, [document(.disabled, .disabledByHost)]).warning
                == "web1: tap ids is disabled: so\\u{1b} (disabled-by-host)")
        #expect(await !confirmation(expectation, [Samples.document([])]).isUnhealthy)
        let gone = TapExpectation(domain: "web1", uuid: Samples.uuid, removed: [Samples.name("ids")])
        #expect(await !confirmation(gone, [document(.active)]).isUnhealthy)
    }

    @Test("Of a tap that does not work it is said that it is written, and how to take it back")
    func consolation() {
        #expect(
            expectation.advice
                == "the metadata is written: the tap copies as soon as the problem is solved; `virt-tap unset web1 ids` removes it"
        )
        var hostile = expectation
        hostile.domain = "$(id)"
        #expect(hostile.advice?.contains("`virt-tap unset DOMAIN ids`") == true)
    }

    @Test("The tap is named once")
    func named() async {
        let failed = document(.failed, .attachFailed) { tap in
            tap.message = "tap \"ids\" of web1 on vnet3: the kernel's verifier refused the program"
            tap.interfaces = [Samples.interface("net0", device: "vnet3", state: .failed, reason: .attachFailed, message: tap.message)]
            tap.interfaces[0].detail = "the kernel's verifier refused the program"
        }
        var one = expectation
        one.interfaces = [DomainInterface(mac: MACAddress("52:54:00:00:00:01"), type: .bridge)]
        #expect(
            await confirmation(one, [failed]).warning
                == "web1: tap ids is failed: the kernel's verifier refused the program (attach-failed)")
    }

    @Test("Which interfaces are copied tells one change from another")
    func interfaces() async {
        let mac = MACAddress("52:54:00:00:00:02")
        var other = expectation
        other.interfaces = [DomainInterface(mac: mac, type: .bridge)]
        let shown = document(.active) { $0.interfaces = [Samples.interface("net0", device: "vnet3")] }
        #expect(await confirmation(other, [shown]).done == nil)
        other.interfaces[0].mac = MACAddress("52:54:00:00:00:01")
        #expect(await confirmation(other, [shown]).done != nil)
    }

    @Test("One share of the traffic is not taken for another")
    func sampling() async {
        for sampling in [Sampling.packets(oneIn: 8), .flows(oneIn: 8)] {
            var other = expectation
            other.tap?.sampling = sampling
            let isOfFlows = sampling == .flows(oneIn: 8)
            func document(_ share: String) -> StatusDocument {
                self.document(.active) { if isOfFlows { $0.sampleFlows = share } else { $0.sample = share } }
            }
            #expect(await confirmation(other, [self.document(.active), document("1/4"), document("1/8")]).looks == 3)
            #expect(await confirmation(expectation, [document("1/8"), self.document(.active)]).looks == 2)
        }
    }

    @Test("Neither a burst nor once is taken for another")
    func burstAndOnce() async {
        var other = expectation
        other.tap?.rate = RateLimit(perSecond: 1_000, unit: .bitsPerSecond, burst: 64, text: "1kbit", burstText: "64")
        other.tap?.once = true
        func shown(_ burst: String?, _ once: Bool) -> StatusDocument {
            document(.active) {
                $0.rate = "1kbit"
                $0.burst = burst
                $0.once = once
            }
        }
        #expect(await confirmation(other, [shown(nil, true), shown("64", false), shown("64", true)]).looks == 3)
    }

    @Test("What was removed is gone, or still there")
    func removed() async {
        let gone = TapExpectation(domain: "web1", uuid: Samples.uuid, removed: [Samples.name("ids")])
        #expect(await confirmation(gone, [document(.active), Samples.document([])]).done == "web1: tap ids: no longer copied")
        #expect(await confirmation(gone, [document(.active)]).warning == "web1: tap ids is still active")
        #expect(await confirmation(gone, [document(.pending, .nextStart) { $0.definition = .configOnly }]).done != nil)
    }

    @Test("A daemon that hangs is reported, or else its last answer")
    func silent() async {
        for (answers, words) in [(0, "does not answer"), (1, "is failed: so\\u{1b} (destination-down)")] {
            let looks = Mutex(0)
            let failed = document(.failed, .destinationDown)
            let confirmation = await ChangeConfirmation.wait(for: expectation, interval: .milliseconds(5)) { _ throws(ControlError) in
                guard
                    looks.withLock({
                        $0 += 1; return $0
                    }) <= answers
                else { throw ControlError.timedOut(what: "waiting") }
                return failed
            }
            #expect(confirmation.done == nil && confirmation.warning?.contains(words) == true, "\(confirmation.warning ?? "")")
            #expect(confirmation.isUnhealthy == (answers > 0))
        }
    }

    @Test("Without a daemon, or one without libvirt, it takes effect later")
    func later() async {
        let confirmation = await ChangeConfirmation.wait(for: expectation) { _ throws(ControlError) in
            throw ControlError.notRunning(path: "/x")
        }
        #expect(confirmation.done == nil && confirmation.warning == "virt-tapd is not running: the change takes effect when it runs")
        var document = Samples.document([])
        document.daemon.connected = false
        #expect(await self.confirmation(expectation, [document]).warning?.contains("not connected to libvirt") == true)
    }
}

/// A clock by which time passes only while somebody sleeps, and then at once.
private final class InstantClock: Clock {
    typealias Instant = ContinuousClock.Instant

    private let time = Mutex(ContinuousClock.now)
    var now: Instant { time.withLock { $0 } }
    let minimumResolution = Duration.zero

    func sleep(until deadline: Instant, tolerance: Duration?) async throws { time.withLock { $0 = max($0, deadline) } }
}
