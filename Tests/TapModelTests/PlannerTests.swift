// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@Suite("The plan")
struct PlannerTests {
    private let desired = Fixture.desired()[0]

    @Test func attachesWhatIsMissing() {
        #expect(Planner.plan(.running([desired]), observed: []) == [.attach(desired)])
    }

    @Test func leavesAloneWhatIsRight() {
        #expect(Planner.plan(.running([desired]), observed: [Fixture.observed(desired)]) == [])
        // Not being first is a warning, never a fight.
        #expect(
            Planner.plan(.running([desired]), observed: [Fixture.observed(desired, hook: .attached(position: 3, foreignAhead: 2))]) == [])
    }

    @Test func changesInPlace() {
        var other = desired
        other.options.direction = .inbound
        #expect(Planner.plan(.running([other]), observed: [Fixture.observed(desired)]) == [.replace(other, restored: [])])
        other = desired
        other.options.destination = "elsewhere"
        #expect(Planner.plan(.running([other]), observed: [Fixture.observed(desired)]) == [.replace(other, restored: [])])
        var old = Fixture.observed(desired)
        old.isCurrentBuild = false
        #expect(Planner.plan(.running([desired]), observed: [old]) == [.replace(desired, restored: [])])
    }

    @Test func putsBackWhatSomebodyRemoved() {
        var observed = Fixture.observed(desired)
        observed.hooks[.inbound] = .detached
        #expect(Planner.plan(.running([desired]), observed: [observed]) == [.replace(desired, restored: [.inbound])])
    }

    @Test func endsOnlyOnPositiveEvidence() {
        let observed = Fixture.observed(desired)
        #expect(Planner.plan(.unknown, observed: [observed]) == [])
        #expect(Planner.plan(.running([]), observed: [observed]).map(kind) == ["detach"])
        #expect(Planner.plan(.notRunning, observed: [observed]).map(kind) == ["detach"])
    }

    @Test func whatIsUndecidedStays() {
        let observed = Fixture.observed(desired)
        #expect(Planner.plan(.running([], kept: [observed.id]), observed: [observed]) == [])
        var key = desired.key
        key.tap = TapName("other")!
        #expect(Planner.plan(.running([], kept: [key.id]), observed: [observed]).map(kind) == ["detach"])
        // But for what copies no longer.
        let dead = Fixture.observed(desired, hook: .deviceGone)
        #expect(Planner.plan(.running([], kept: [dead.id]), observed: [dead]) == [.collect(dead.id)])
    }

    @Test func collectsDeadPinsWhateverIsKnown() {
        let dead = Fixture.observed(desired, hook: .deviceGone)
        #expect(Planner.plan(.unknown, observed: [dead]) == [.collect(dead.id)])
        #expect(Planner.plan(.running([]), observed: [dead]) == [.collect(dead.id)])
        // The kernel may have given its number to a device that is ours again.
        #expect(Planner.plan(.running([desired]), observed: [dead]) == [.collect(dead.id), .attach(desired)])
    }

    @Test func makesAnewWhatCannotBeChanged() {
        var clsact = desired
        clsact.mechanism = .clsact
        #expect(Planner.plan(.running([clsact]), observed: [Fixture.observed(desired)]).map(kind) == ["detach", "attach"])
        var halfMade = Fixture.observed(desired)
        halfMade.spec = nil
        #expect(Planner.plan(.running([desired]), observed: [halfMade]).map(kind) == ["detach", "attach"])
    }

    @Test func aDeviceNamedTwiceIsAttachedOnce() {
        #expect(Planner.plan(.running([desired, desired]), observed: []) == [.attach(desired)])
    }

    /// Whatever is there and whatever is desired, carrying out the plan leaves nothing to do.
    @Test(arguments: 0..<200)
    func converges(_ seed: Int) {
        var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1
        func random(_ limit: Int) -> Int {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int(state % UInt64(limit))
        }
        func one(_ index: Int) -> DesiredAttachment {
            var desired = self.desired
            desired.key.tap = TapName("t\(index % 3)")!
            desired.key.ifindex = UInt32(10 + index / 3)
            desired.options.direction = TapDirection.allCases[random(3)]
            desired.mechanism = random(8) == 0 ? .clsact : .tcx
            return desired
        }
        var kernel: [AttachmentID: ObservedAttachment] = [:]
        for index in 0..<9 where random(2) == 0 {
            let hook: ObservedAttachment.Hook = [.attached(position: 0, foreignAhead: 0), .detached, .deviceGone][random(3)]
            let observed = Fixture.observed(one(index), hook: hook)
            kernel[observed.id] = observed
        }
        let all = (0..<9).filter { _ in random(2) == 0 }.map(one)
        let evidence: DomainEvidence = [.running(all), .running(all), .notRunning, .unknown][random(4)]
        for action in Planner.plan(evidence, observed: Array(kernel.values)) {
            switch action {
            case .attach(let desired):
                #expect(kernel[desired.key.id] == nil)
                kernel[desired.key.id] = Fixture.observed(desired)
            case .replace(let desired, _):
                #expect(kernel[desired.key.id] != nil)
                kernel[desired.key.id] = Fixture.observed(desired)
            case .detach(let id, _), .collect(let id):
                #expect(kernel.removeValue(forKey: id) != nil)
            }
        }
        #expect(Planner.plan(evidence, observed: Array(kernel.values)) == [])
        if case .running = evidence { #expect(Set(kernel.keys) == Set(all.map(\.key.id))) }
    }

    private func kind(_ action: Action) -> String {
        switch action {
        case .attach: "attach"
        case .replace: "replace"
        case .detach: "detach"
        case .collect: "collect"
        }
    }
}
