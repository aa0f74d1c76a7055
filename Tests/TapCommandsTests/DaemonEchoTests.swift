// SPDX-License-Identifier: LGPL-2.1-or-later

import Synchronization
import TapControl
import TapModel
import Testing

@testable import TapCommands

@Suite("What a daemon makes of a change")
struct DaemonEchoTests {
    private static let tap = Tap(name: Samples.name("ids"), destination: .named(Samples.name("ids")))
    private let expectation = TapExpectation(domain: "web1", uuid: Samples.uuid, tap: tap)

    /// The documents one after the other, the last one again and again.
    private func echo(
        _ expectation: TapExpectation, _ documents: [StatusDocument], grace: Duration = .milliseconds(200)
    ) async -> (done: String?, warning: String?, isUnhealthy: Bool, looks: Int) {
        let looks = Mutex(0)
        let clock = PatientClock()
        let echo = await DaemonEcho.of(expectation, patience: max(.seconds(1), grace), grace: grace, pause: .milliseconds(5), clock: clock)
        {
            _ throws(ControlError) in
            looks.withLock {
                $0 += 1
                return documents[min($0, documents.count) - 1]
            }
        }
        return (echo.done, echo.warning, echo.isUnhealthy, looks.withLock { $0 })
    }

    private func document(_ state: TapState, _ reason: Reason? = nil, _ change: (inout TapStatus) -> Void = { _ in }) -> StatusDocument {
        var tap = Samples.tap("web1", state: state, reason: reason, message: reason.map { _ in "so\u{1B}" })
        change(&tap)
        return Samples.document([tap])
    }

    @Test("Active is told at once, and waited for as long as the daemon has not seen the change or is at it")
    func active() async {
        let at = await echo(expectation, [document(.active)])
        #expect(at.done == "web1: tap ids: active, copying to ids" && at.warning == nil && at.looks == 1)
        let later = await echo(
            expectation,
            [Samples.document([]), document(.active) { $0.direction = .inbound }, document(.pending, .attachFailed), document(.active)])
        #expect(later.done != nil && later.looks == 4)
        let off = await echo(
            TapExpectation(
                domain: "web1", uuid: Samples.uuid,
                tap: Tap(name: Samples.name("ids"), destination: .named(Samples.name("ids")), enabled: false)),
            [document(.disabled, .disabledByMetadata) { $0.enabled = false }])
        #expect(off.done == "web1: tap ids: switched off")
    }

    @Test("What fails is told with its reason, and what passes is not taken for it")
    func failed() async {
        let failed = await echo(expectation, [document(.failed, .noSuchDestination)])
        #expect(failed.done == nil && failed.warning == "web1: tap ids is failed: no-such-destination: so\\u{1b}" && failed.looks == 2)
        // What may pass by itself has a moment for it, and no more.
        let awaited = document(.failed, .neighbourUnreachable)
        #expect(await echo(expectation, [awaited, awaited, awaited, document(.active)], grace: .seconds(30)).done != nil)
        let down = await echo(expectation, [document(.failed, .destinationDown)])
        #expect(down.warning?.hasPrefix("web1: tap ids is failed: destination-down") == true && down.looks > 2 && down.isUnhealthy)
        #expect(await echo(expectation, [document(.failed, .deviceGone), document(.active)]).done != nil)
        let pending = await echo(expectation, [document(.pending, .deviceGone)])
        #expect(pending.warning?.hasPrefix("web1: tap ids is pending: device-gone") == true)
        #expect(await echo(expectation, [Samples.document([])]).warning?.contains("has not seen the change yet") == true)
        #expect(await echo(expectation, [document(.active) { $0.definition = .configOnly }]).done == nil)
    }

    @Test("What does not work is told from what is late or switched off: the exit code of set")
    func unhealthy() async {
        for state in [TapState.failed, .denied, .degraded, .unsupported] {
            #expect(await echo(expectation, [document(state, .attachFailed)]).isUnhealthy, "\(state)")
        }
        for state in [TapState.active, .pending, .disabled] {
            let reason: Reason? = state == .active ? nil : state == .pending ? .deviceGone : .disabledByHost
            #expect(await !echo(expectation, [document(state, reason)]).isUnhealthy, "\(state)")
        }
        #expect(
            await echo(expectation, [document(.disabled, .disabledByHost)]).warning
                == "web1: tap ids is disabled: disabled-by-host: so\\u{1b}")
        #expect(await !echo(expectation, [Samples.document([])]).isUnhealthy)
        let gone = TapExpectation(domain: "web1", uuid: Samples.uuid, removed: [Samples.name("ids")])
        #expect(await !echo(gone, [document(.active)]).isUnhealthy)
    }

    @Test("Of a tap that does not work it is said that it is written, and how to take it back")
    func consolation() {
        #expect(
            expectation.consolation
                == "the metadata are written, so it begins to copy when that is put right; `virt-tap unset web1 ids` takes the tap out again"
        )
        var hostile = expectation
        hostile.domain = "$(id)"
        #expect(hostile.consolation?.contains("`virt-tap unset DOMAIN ids`") == true)
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
        #expect(await echo(one, [failed]).warning == "web1: tap ids is failed: attach-failed: the kernel's verifier refused the program")
    }

    @Test("Which interfaces are copied tells one wish from another")
    func interfaces() async {
        let mac = MACAddress("52:54:00:00:00:02")
        var other = expectation
        other.interfaces = [DomainInterface(mac: mac, type: .bridge)]
        let shown = document(.active) { $0.interfaces = [Samples.interface("net0", device: "vnet3")] }
        #expect(await echo(other, [shown]).done == nil)
        other.interfaces[0].mac = MACAddress("52:54:00:00:00:01")
        #expect(await echo(other, [shown]).done != nil)
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
            #expect(await echo(other, [self.document(.active), document("1/4"), document("1/8")]).looks == 3)
            #expect(await echo(expectation, [document("1/8"), self.document(.active)]).looks == 2)
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
        #expect(await echo(other, [shown(nil, true), shown("64", false), shown("64", true)]).looks == 3)
    }

    @Test("What was removed is gone, or still there")
    func removed() async {
        let gone = TapExpectation(domain: "web1", uuid: Samples.uuid, removed: [Samples.name("ids")])
        #expect(await echo(gone, [document(.active), Samples.document([])]).done == "web1: tap ids: no longer copied")
        #expect(await echo(gone, [document(.active)]).warning == "web1: tap ids is still active")
        #expect(await echo(gone, [document(.pending, .nextStart) { $0.definition = .configOnly }]).done != nil)
    }

    @Test("One that hangs is told of, or else what it said last")
    func silent() async {
        for (answers, words) in [(0, "does not answer"), (1, "is failed: destination-down")] {
            let looks = Mutex(0)
            let failed = document(.failed, .destinationDown)
            let echo = await DaemonEcho.of(expectation, pause: .milliseconds(5)) { _ throws(ControlError) in
                guard
                    looks.withLock({
                        $0 += 1; return $0
                    }) <= answers
                else { throw ControlError.timedOut(what: "waiting") }
                return failed
            }
            #expect(echo.done == nil && echo.warning?.contains(words) == true, "\(echo.warning ?? "")")
            #expect(echo.isUnhealthy == (answers > 0))
        }
    }

    @Test("Without a daemon, or one without libvirt, it takes effect later")
    func later() async {
        let echo = await DaemonEcho.of(expectation) { _ throws(ControlError) in throw ControlError.notRunning(path: "/x") }
        #expect(echo.done == nil && echo.warning == "virt-tapd is not running: this takes effect when it runs")
        var document = Samples.document([])
        document.daemon.connected = false
        #expect(await self.echo(expectation, [document]).warning?.contains("not connected to libvirt") == true)
    }
}

/// A clock by which time passes only while somebody sleeps, and then at once.
private final class PatientClock: Clock {
    typealias Instant = ContinuousClock.Instant

    private let time = Mutex(ContinuousClock.now)
    var now: Instant { time.withLock { $0 } }
    let minimumResolution = Duration.zero

    func sleep(until deadline: Instant, tolerance: Duration?) async throws { time.withLock { $0 = max($0, deadline) } }
}
