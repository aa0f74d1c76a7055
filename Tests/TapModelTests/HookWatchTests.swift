// SPDX-License-Identifier: LGPL-2.1-or-later

import Testing

@testable import TapModel

@Suite("Whether libvirt calls the hook")
struct HookWatchTests {
    private let web1 = DomainUUID("00000000-0000-4000-8000-000000000001")!
    private let web2 = DomainUUID("00000000-0000-4000-8000-000000000002")!
    private var watch = HookWatch(since: 0)

    private mutating func verdicts(at now: Double) -> [DomainUUID: Bool] {
        Dictionary(uniqueKeysWithValues: watch.judge(at: now).map { ($0.domain, $0.wasCalled) })
    }

    /// As libvirt calls it.
    private mutating func call(_ domain: DomainUUID, at now: Double) {
        watch.called(for: domain, isRunning: false, at: now)
        watch.called(for: domain, isRunning: true, at: now + 0.1)
    }

    @Test("A start with its call, and one without")
    mutating func calls() {
        call(web1, at: 100)
        watch.started(web1, at: 100.2)
        watch.started(web2, at: 100.4)
        #expect(watch.nextJudgement == 110.2)
        #expect(verdicts(at: 110).isEmpty)
        #expect(verdicts(at: 110.3) == [web1: true])
        #expect(verdicts(at: 110.5) == [web2: false])
        #expect(watch.nextJudgement == nil)
        #expect(verdicts(at: 1_000).isEmpty)
    }

    @Test("A call that is read after the event counts, whichever of the two it is", arguments: [false, true])
    mutating func lateCall(isRunning: Bool) {
        watch.started(web1, at: 100)
        watch.called(for: web1, isRunning: isRunning, at: 109)
        #expect(verdicts(at: 110) == [web1: true])
    }

    @Test("The two calls of one start are not for two")
    mutating func oneCallOneStart() {
        call(web1, at: 100)
        watch.started(web1, at: 100.2)
        #expect(verdicts(at: 111) == [web1: true])
        watch.started(web1, at: 120)
        #expect(verdicts(at: 130) == [web1: false])
    }

    @Test("Of two starts in a moment the one without a call is found")
    mutating func twice() {
        call(web1, at: 100)
        watch.started(web1, at: 100.2)
        watch.started(web1, at: 103.2)
        #expect(watch.judge(at: 120).map(\.wasCalled) == [true, false])
        call(web1, at: 200)
        call(web1, at: 203)
        watch.started(web1, at: 203.1)
        watch.started(web1, at: 203.2)
        #expect(watch.judge(at: 220).map(\.wasCalled) == [true, true])
    }

    @Test("The call of an earlier start, which failed, is not this one's")
    mutating func oldCall() {
        watch.called(for: web1, isRunning: false, at: 100)
        watch.started(web1, at: 200)
        #expect(verdicts(at: 210) == [web1: false])
    }

    @Test("A start that takes long, as from a large image, is reported at its end, too")
    mutating func longStart() {
        watch.called(for: web1, isRunning: false, at: 100)
        watch.called(for: web1, isRunning: true, at: 400)
        watch.started(web1, at: 400.1)
        #expect(verdicts(at: 411) == [web1: true])
    }

    @Test("A daemon that was down a moment ago says nothing: the call may have found nobody")
    mutating func justStarted() {
        watch = HookWatch(since: 97)
        watch.started(web1, at: 100)
        #expect(watch.nextJudgement == nil)
        watch.started(web2, at: 102)
        #expect(verdicts(at: 112) == [web2: false])
    }
}
