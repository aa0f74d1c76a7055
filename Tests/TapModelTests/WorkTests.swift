// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@Suite("When work is done")
struct WorkTests {
    @Test func theFirstWishAtOnceTheRestTogether() {
        var queue = WorkQueue()
        #expect(queue.next(at: 0) == .idle)
        queue.request(.domain(Fixture.uuid), at: 10)
        #expect(queue.next(at: 10) == .run(.domain(Fixture.uuid)))
        queue.changedKernel(for: .domain(Fixture.uuid), at: 10)
        for time in [10.1, 10.2, 10.3] { queue.request(.domain(Fixture.uuid), at: time) }
        #expect(queue.next(at: 10.3) == .wait(until: 11))
        queue.request(.domain(Fixture.otherUUID), at: 10.4)
        #expect(queue.next(at: 10.4) == .run(.domain(Fixture.otherUUID)))
        #expect(queue.next(at: 11) == .run(.domain(Fixture.uuid)))
        #expect(queue.next(at: 20) == .idle)
    }

    @Test func lookingAloneDelaysLittle() {
        var queue = WorkQueue()
        queue.request(.all, at: 10)
        #expect(queue.next(at: 10) == .run(.all))
        queue.request(.all, at: 10.01)
        #expect(queue.next(at: 10.01) == .wait(until: 10 + WorkQueue.lookInterval))
    }

    @Test func whatTakesLongIsDoneForATenthOfTheTime() {
        var queue = WorkQueue()
        queue.request(.paths, at: 10)
        #expect(queue.next(at: 10) == .run(.paths))
        queue.tookTime(for: .paths, at: 10.2, seconds: 0.2)
        queue.request(.paths, at: 10.2)
        queue.request(.sweep, at: 10.2)
        #expect(queue.next(at: 10.2) == .run(.sweep))
        #expect(queue.next(at: 10.3) == .wait(until: 12))
        #expect(queue.next(at: 12) == .run(.paths))
        // One look that was held up is no reason to be blind for minutes.
        queue.tookTime(for: .paths, at: 40, seconds: 28)
        queue.request(.paths, at: 40)
        #expect(queue.next(at: 40) == .wait(until: 45))
        #expect(queue.next(at: 45) == .run(.paths))
        // What takes no time waits no longer than after every look.
        queue.tookTime(for: .paths, at: 45, seconds: 0)
        queue.request(.paths, at: 45)
        #expect(queue.next(at: 45) == .wait(until: 45 + WorkQueue.lookInterval))
    }

    @Test func anEarlierWishMovesALaterOneForward() {
        var queue = WorkQueue()
        queue.request(.all, at: 0, after: 60)
        #expect(queue.next(at: 1) == .wait(until: 60))
        queue.request(.all, at: 2)
        #expect(queue.next(at: 2) == .run(.all))
        #expect(queue.next(at: 100) == .idle)
    }

    @Test func aFightIsNotFought() {
        var history = RemovalHistory<AttachmentID>()
        let id = AttachmentKey(domain: Fixture.uuid, origin: .domain, tap: .fallback, ifindex: 1).id
        for time in 0..<4 {
            history.removed(id, at: Double(time))
            #expect(history.mayRestore(id, at: Double(time)))
            history.restored(id, at: Double(time))
        }
        history.removed(id, at: 5)
        #expect(!history.mayRestore(id, at: 5))
        #expect(!history.mayRestore(id, at: 602))
        #expect(history.mayRestore(id, at: 604))
        history.restored(id, at: 604)
        // Once a window from now on, however long ago the five were.
        history.removed(id, at: 650)
        #expect(!history.mayRestore(id, at: 1_203))
        #expect(history.mayRestore(id, at: 1_204))
        history.restored(id, at: 1_204)
        // It stayed for a whole window: the fight is over.
        history.removed(id, at: 1_900)
        #expect(history.mayRestore(id, at: 1_900))
    }
}
