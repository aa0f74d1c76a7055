// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@Suite("How a guest's start and its taps' are measured")
struct ArrivalLogTests {
    @Test func placedBeforeTheGuestRan() {
        var log = ArrivalLog()
        #expect(log.placed(Fixture.uuid, at: 10) == nil)
        #expect(log.runs(Fixture.uuid, at: 10.5) == 0.5)
        #expect(log.runs(Fixture.uuid, at: 20) == nil, "resuming later is no arrival")
    }

    @Test func placedAfterwards() {
        var log = ArrivalLog()
        #expect(log.runs(Fixture.uuid, at: 10) == nil)
        #expect(log.placed(Fixture.uuid, at: 10.25) == -0.25)
    }

    @Test func anOldResumeIsNotThisStart() {
        var log = ArrivalLog()
        #expect(log.runs(Fixture.uuid, at: 10) == nil)
        #expect(log.placed(Fixture.uuid, at: 100) == nil)
    }

    @Test func aStartThatFailedIsForgotten() {
        var log = ArrivalLog()
        #expect(log.placed(Fixture.uuid, at: 10) == nil)
        log.forget(Fixture.uuid)
        #expect(log.runs(Fixture.uuid, at: 11) == nil)
    }
}
