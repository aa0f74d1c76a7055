// SPDX-License-Identifier: LGPL-2.1-or-later
import TapModel
import Testing

@testable import Hypervisor

@Suite struct ConnectionMachineTests {
    private typealias Machine = ConnectionMachine

    private let up = HypervisorEvent.connected(libvirtVersion: "9.0.0")

    private func opening(_ attempt: Int) -> [ConnectionMachine.Action] {
        [.open(attempt), .watch(attempt, Machine.patience)]
    }

    /// A machine whose first attempt has led to a connection.
    private func connected() -> ConnectionMachine {
        var machine = Machine()
        _ = machine.handle(.start, jitter: 0)
        _ = machine.handle(.opened(1, libvirtVersion: "9.0.0"), jitter: 0)
        return machine
    }

    @Test func connectsAtOnceAndReportsAfterAdopting() {
        var machine = Machine()
        #expect(machine.handle(.start, jitter: 0) == opening(1))
        #expect(machine.handle(.opened(1, libvirtVersion: "9.0.0"), jitter: 0) == [.stopTimer, .adopt(1), .report(up)])
    }

    @Test func missingLibvirtIsReportedOnceForEachReason() {
        var machine = Machine()
        _ = machine.handle(.start, jitter: 0)
        #expect(
            machine.handle(.refused(1, why: "no socket"), jitter: 1) == [
                .report(.disconnected(why: "no socket")), .pause(1, .milliseconds(250)),
            ])
        #expect(machine.handle(.retry(1), jitter: 1) == opening(2))
        #expect(machine.handle(.refused(2, why: "no socket"), jitter: 1) == [.pause(2, .milliseconds(500))])
        #expect(machine.handle(.retry(2), jitter: 1) == opening(3))
        #expect(
            machine.handle(.refused(3, why: "denied"), jitter: 1) == [
                .report(.disconnected(why: "denied")), .pause(3, .seconds(1)),
            ])
    }

    @Test func pausesDoubleUpToTheLongestForEver() {
        var machine = Machine()
        _ = machine.handle(.start, jitter: 0)
        var pauses: [Duration] = []
        for attempt in 1...100 {
            for case .pause(_, let pause) in machine.handle(.refused(attempt, why: "no"), jitter: 1) { pauses.append(pause) }
            _ = machine.handle(.retry(attempt), jitter: 1)
        }
        #expect(pauses.count == 100)
        #expect(
            pauses.prefix(7) == [
                .milliseconds(250), .milliseconds(500), .seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(10),
            ])
        #expect(pauses.dropFirst(6).allSatisfy { $0 == .seconds(10) })
    }

    @Test(arguments: [0.0, 0.5, 0.999])
    func jitterShortensAPauseByAQuarterAtMost(jitter: Double) {
        var machine = Machine()
        _ = machine.handle(.start, jitter: 0)
        for attempt in 1...8 {
            let full = min(Duration.milliseconds(250) * (1 << (attempt - 1)), .seconds(10))
            guard case .pause(attempt, let pause)? = machine.handle(.refused(attempt, why: "no"), jitter: jitter).last else {
                Issue.record("no pause at attempt \(attempt)")
                return
            }
            #expect(pause >= max(full * 0.75, .milliseconds(250)) && pause <= full)
            _ = machine.handle(.retry(attempt), jitter: 0)
        }
    }

    @Test func lossOfALongConnectionIsFollowedByAPromptAttempt() {
        var machine = connected()
        #expect(
            machine.handle(.lost(1, why: "gone", after: .seconds(3600)), jitter: 1) == [
                .close(1), .report(.disconnected(why: "gone")), .pause(1, .milliseconds(250)),
            ])
        #expect(machine.handle(.retry(1), jitter: 1) == opening(2))
        #expect(machine.handle(.opened(2, libvirtVersion: "9.0.0"), jitter: 1) == [.stopTimer, .adopt(2), .report(up)])
    }

    @Test func connectionsThatDieAtOnceAreRetriedMoreAndMoreSlowly() {
        var machine = connected()
        var pauses: [Duration] = []
        for attempt in 1...4 {
            let actions = machine.handle(.lost(attempt, why: "gone", after: .seconds(1)), jitter: 1)
            for case .pause(_, let pause) in actions { pauses.append(pause) }
            _ = machine.handle(.retry(attempt), jitter: 1)
            _ = machine.handle(.opened(attempt + 1, libvirtVersion: "9.0.0"), jitter: 1)
        }
        #expect(pauses == [.milliseconds(250), .milliseconds(500), .seconds(1), .seconds(2)])
    }

    @Test func eachLossIsReportedThoughTheReasonIsTheSame() {
        var machine = connected()
        for attempt in 1...3 {
            let actions = machine.handle(.lost(attempt, why: "gone", after: .seconds(60)), jitter: 0)
            #expect(actions.contains(.report(.disconnected(why: "gone"))))
            _ = machine.handle(.retry(attempt), jitter: 0)
            _ = machine.handle(.opened(attempt + 1, libvirtVersion: "9.0.0"), jitter: 0)
        }
    }

    @Test func wordOfTheLossMayOvertakeWordOfTheOpening() {
        var machine = Machine()
        _ = machine.handle(.start, jitter: 0)
        #expect(machine.handle(.lost(1, why: "gone", after: .zero), jitter: 0).isEmpty)
        #expect(
            machine.handle(.opened(1, libvirtVersion: "9.0.0"), jitter: 0) == [
                .close(1), .report(.disconnected(why: "gone")), .pause(1, .milliseconds(250)),
            ])
        // It is forgotten with its attempt.
        _ = machine.handle(.retry(1), jitter: 0)
        #expect(machine.handle(.opened(2, libvirtVersion: "9.0.0"), jitter: 0).contains(.adopt(2)))
    }

    @Test func lateWordOfAnOldAttemptChangesNothing() {
        var machine = connected()
        _ = machine.handle(.lost(1, why: "gone", after: .seconds(60)), jitter: 0)
        #expect(machine.handle(.lost(1, why: "again", after: .seconds(60)), jitter: 0).isEmpty)
        _ = machine.handle(.retry(1), jitter: 0)
        _ = machine.handle(.opened(2, libvirtVersion: "9.0.0"), jitter: 0)
        #expect(machine.handle(.lost(1, why: "late", after: .seconds(60)), jitter: 0).isEmpty)
        #expect(machine.handle(.retry(1), jitter: 0).isEmpty)
        #expect(machine.handle(.overdue(2), jitter: 0).isEmpty)
    }

    @Test func anAttemptThatHangsIsReportedAndNotDoubled() {
        var machine = Machine()
        _ = machine.handle(.start, jitter: 0)
        let actions = machine.handle(.overdue(1), jitter: 0)
        guard case .report(.disconnected(why: let why))? = actions.first, actions.count == 1 else {
            Issue.record("\(actions)")
            return
        }
        #expect(why.contains("30 s"))
        #expect(machine.handle(.opened(1, libvirtVersion: "9.0.0"), jitter: 0).contains(.adopt(1)))
    }

    @Test func stoppingClosesTheConnectionAndNothingFollows() {
        var machine = connected()
        #expect(machine.handle(.stop, jitter: 0) == [.close(1)])
        #expect(machine.handle(.lost(1, why: "closed", after: .zero), jitter: 0).isEmpty)
        #expect(machine.handle(.retry(1), jitter: 0).isEmpty)
    }

    @Test func aConnectionThatComesAfterStoppingIsClosed() {
        var machine = Machine()
        _ = machine.handle(.start, jitter: 0)
        #expect(machine.handle(.stop, jitter: 0) == [.stopTimer])
        #expect(machine.handle(.opened(1, libvirtVersion: "9.0.0"), jitter: 0) == [.close(1)])
    }
}
