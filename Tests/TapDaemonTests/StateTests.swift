// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@testable import TapDaemon

/// What the work loop does next.
@Suite struct ScheduleTests {
    private let web1 = TestDomain(1).uuid
    private let web2 = TestDomain(2).uuid

    private func next(_ schedule: inout Schedule, _ now: Double) -> Schedule.Step { schedule.next(at: now) }

    @Test func whatWasReadIsReconciledBeforeAnythingElse() {
        var schedule = Schedule()
        schedule.request(.sweep, at: 0)
        schedule.enqueue(web2)
        schedule.enqueue(web1)
        schedule.enqueue(web2)
        schedule.summarizeAtEnd()
        let steps = (1...5).map { _ in schedule.next(at: 0) }
        #expect(steps == [.reconcile(web2), .reconcile(web1), .summarize, .run(.sweep), .idle])
    }

    @Test func aDomainIsDueFromItsRequestUntilItIsReconciled() {
        var schedule = Schedule()
        #expect(!schedule.isDomainDue(at: 0))
        schedule.request(.domain(web1), at: 0, after: 0.5)
        #expect(schedule.isDomainDue(at: 0))
        #expect(next(&schedule, 1) == .run(.domain(web1)))
        let isFirst = schedule.beginReading(.domain(web1))
        let isAgain = schedule.beginReading(.domain(web1))
        #expect(isFirst && !isAgain)
        #expect(schedule.isDomainDue(at: 1))
        schedule.endReading(.domain(web1))
        schedule.enqueue(web1)
        #expect(schedule.isDomainDue(at: 1))
        #expect(next(&schedule, 1) == .reconcile(web1))
        #expect(schedule.isDomainDue(at: 1), "it is under way")
        #expect(next(&schedule, 1) == .idle)
        #expect(!schedule.isDomainDue(at: 1))
        schedule.request(.paths, at: 1)
        schedule.request(.domain(web1), at: 1, after: 60)
        #expect(!schedule.isDomainDue(at: 1), "not in the next second")
    }

    @Test func requestsAreMergedForASecondAfterAChangeOfTheKernel() {
        var schedule = Schedule()
        schedule.changedKernel(for: web1, at: 10)
        schedule.request(.domain(web1), at: 10)
        schedule.request(.domain(web1), at: 10.5)
        schedule.request(.domain(web2), at: 10.5)
        #expect(next(&schedule, 10.5) == .run(.domain(web2)))
        #expect(next(&schedule, 10.5) == .wait(until: 11))
        #expect(next(&schedule, 11) == .run(.domain(web1)))
        #expect(next(&schedule, 11) == .idle)
    }

    @Test func nextHopsAreAskedOnceInAnInterval() {
        var schedule = Schedule()
        let due = [0, Schedule.confirmInterval - 0.1, Schedule.confirmInterval].map { schedule.isConfirmationDue(at: $0) }
        #expect(due == [true, false, true])
    }
}

/// What is known of domains, and whose word counts.
@Suite struct DomainTableTests {
    private let web = TestDomain(1)
    private let devices = DeviceTable([TestDomain(1).netdev(10)])

    private func record(_ snapshot: DomainSnapshot, asked: Double, in table: inout DomainTable) -> String {
        switch table.record(snapshot, asked: asked, at: asked, devices: devices, parse: Bench.parseDomain) {
        case .recorded: "recorded"
        case .outdated: "outdated"
        case .starting: "starting"
        }
    }

    @Test func anAnswerToAnOlderQuestionDoesNotCount() {
        var table = DomainTable()
        #expect(record(web.running(), asked: 10, in: &table) == "recorded")
        let generation = table.generation
        #expect(record(web.shutOff(), asked: 9, in: &table) == "outdated")
        #expect(!table.mayBeAbsent(web.uuid, asked: 9, at: 9, devices: devices))
        #expect(table[web.uuid]?.view.isRunning == true && table.generation == generation)
        #expect(record(web.shutOff(), asked: 11, in: &table) == "recorded")
        #expect(table[web.uuid]?.view.isRunning == false && table.generation > generation)
        #expect(table.mayBeAbsent(web.uuid, asked: 12, at: 12, devices: devices))
        table.recordAbsence(web.uuid)
        #expect(table[web.uuid] == nil && table.isAbsent(web.uuid))
        table.connected("9.0.0")
        #expect(!table.isAbsent(web.uuid), "another libvirt may know it")
    }

    @Test func aStartStandsAgainstLibvirtsShutOffForAWhile() throws {
        var table = DomainTable()
        let xml = web.xml(TestDomain.tap)
        table.recordStart(try Bench.parseDomain(xml).get(), xml: xml, isStart: true, at: 10)
        #expect(record(web.shutOff(), asked: 11, in: &table) == "starting")
        #expect(!table.mayBeAbsent(web.uuid, asked: 11, at: 11, devices: devices))
        #expect(table.mayBeAbsent(web.uuid, asked: 11, at: 11, devices: DeviceTable()), "its devices are gone")
        #expect(record(web.shutOff(), asked: 10 + KnownDomain.startGrace, in: &table) == "recorded")
    }

    @Test func whoeverGetsANameThatWasGivenUpIsAnHeir() throws {
        var table = DomainTable()
        let interfaces = try Bench.parseDomain(web.xml("")).get().interfaces
        let other = TestDomain(2).uuid
        let first = table.claim(interfaces, for: web.uuid)
        #expect(first.heirs == [] && first.changed == [web.device])
        let second = table.claim(interfaces, for: other)
        #expect(second.heirs == [] && second.changed == [web.device])
        let last = table.claim([], for: web.uuid)
        #expect(last.heirs == [other] && last.changed == [web.device])
    }
}

/// The steps for one domain, decided without a kernel.
@Suite struct DomainPlanTests {
    private let web = TestDomain(1)

    /// web1 runs with one tap, as evaluation finds it on a host with its devices.
    private func domain(_ taps: String = TestDomain.tap) throws -> (view: DomainView, host: HostState) {
        let devices = DeviceTable([web.netdev(10), Bench.monitor(20, "mon0"), Bench.monitor(21, "mon1")])
        var table = DomainTable()
        _ = table.record(web.running(taps), asked: 0, at: 0, devices: devices, parse: Bench.parseDomain)
        let live = try #require(table[web.uuid]?.view.live)
        _ = table.claim(live.interfaces, for: web.uuid)
        table.prove(web.uuid, devices, destinations: [])
        let host = HostState(
            configuration: try Bench.parse(Bench.configuration).get(), devices: devices, claims: table.claims, mechanism: .success(.tcx))
        table.setVerdicts(TapEvaluation.evaluate(live, on: host), of: web.uuid)
        return (try #require(table[web.uuid]?.view), host)
    }

    @Test func whatIsDesiredAndNotThereIsAttached() throws {
        let (view, host) = try domain()
        let plan = DomainPlan(view, isAbsent: false, observed: [], host: host) { _ in true }
        #expect(plan.actions == view.verdicts.flatMap(\.desired).map(Action.attach) && plan.actions.count == 1)
        #expect(plan.heldBack.isEmpty && plan.needsDestinations && plan.isDecided)
    }

    @Test func whatWouldGoOnWithAFightIsHeldBack() throws {
        let (view, host) = try domain()
        let desired = try #require(view.verdicts.first?.desired.first)
        var removed = FakeKernel.observed(desired, since: Timestamp(seconds: 0))
        removed.hooks = removed.hooks.mapValues { _ in .detached }
        let plan = DomainPlan(view, isAbsent: false, observed: [removed], host: host) { _ in false }
        #expect(plan.actions.isEmpty && plan.heldBack.map(\.id) == [desired.key.id] && plan.ids == [desired.key.id])
        #expect(plan.needsDestinations, "what is still attached goes on")
        #expect(DomainPlan(view, isAbsent: false, observed: [removed], host: host) { _ in true }.heldBack.isEmpty)
    }

    @Test func nothingEndsWithoutEvidence() throws {
        let (view, host) = try domain()
        let observed = view.verdicts.flatMap(\.desired).map { FakeKernel.observed($0, since: Timestamp(seconds: 0)) }
        let unknown = DomainPlan(nil, isAbsent: false, observed: observed, host: host) { _ in true }
        #expect(unknown.actions.isEmpty && !unknown.isDecided && !unknown.needsDestinations)
        #expect(DomainPlan(view, isAbsent: false, observed: observed, host: host) { _ in true }.actions.isEmpty, "it is as it is desired")
    }
}

/// Each table counts what a plan depends on, and nothing else.
@Suite struct GenerationTests {
    @Test func devicesCountWhatChanges() {
        var devices = KnownDevices()
        let device = TestDomain(1).netdev(10)
        devices.replace([device], readAt: 1)
        let generation = devices.generation
        devices.replace([device], readAt: 2)
        devices.update(device.name, device)
        #expect(devices.generation == generation && devices.readAt == 2)
        devices.update(device.name, nil)
        #expect(devices.generation > generation && devices.table[10] == nil)
    }

    @Test func portsCountWhatChanges() {
        var ports = PortTable()
        let port = MonitorPort(ifindex: 5, listener: "span0")
        let news = [false, false, true].map { ports.replace(["span0": .success(port)], isChanged: $0) }
        #expect(news == [true, false, true] && ports.generation == 2)
    }

    @Test func pathsCountWhatChanges() {
        var underlay = UnderlayTable()
        let query = UnderlayQuery(remote: [192, 0, 2, 10])
        let failure = Result<UnderlayPath, Failure>.failure(Failure(.neighbourUnreachable, "no route"))
        let news = (1...2).map { _ in underlay.note(query, failure, remotes: []) }
        #expect(news == [true, false] && underlay.generation == 1)
        underlay.keep([])
        #expect(underlay.paths.isEmpty)
    }

    @Test func aPauseCountsAndEndsWhenSomebodyAsks() {
        var configuration = LoadedConfiguration(path: Bench.path, Bench.parse(Bench.configuration), at: Timestamp(seconds: 1))
        configuration.pause()
        #expect(configuration.isPaused && configuration.generation == 1)
        let ended = (1...2).map { _ in configuration.resume() }
        #expect(ended == [true, false] && !configuration.isPaused)
    }
}

/// Failures and removals of attachments.
@Suite struct AttachmentTableTests {
    private let id = AttachmentID(directory: TestDomain(1).uuid.hex + String(repeating: "0", count: 24))!

    @Test func aFailureIsNewsOnce() {
        var table = AttachmentTable()
        let failure = Failure(.attachFailed, "no memory")
        table.failed(id, failure)
        let news = (1...2).map { _ in table.isNews(failure, of: id) }
        #expect(news == [true, false])
        #expect(table.loggedFailures(of: TestDomain(1).uuid) == [failure] && table.loggedFailures(of: TestDomain(2).uuid) == [])
        table.succeeded(id)
        let isNews = table.isNews(failure, of: id)
        #expect(table.failures.isEmpty && isNews)
    }

    @Test func failuresOfWhatNeedsNoStepAreForgotten() {
        var table = AttachmentTable()
        table.failed(id, Failure(.attachFailed, "no memory"))
        table.forgetFailures(of: TestDomain(2).uuid, but: [])
        table.forgetFailures(of: TestDomain(1).uuid, but: [id])
        #expect(table.failures.count == 1)
        table.forgetFailures(of: TestDomain(1).uuid, but: [])
        #expect(table.failures.isEmpty)
    }

    @Test func aFightEndsWithTheAttachment() {
        var table = AttachmentTable()
        for time in 0..<RemovalHistory<AttachmentID>.limit {
            table.removed(id, at: Double(time))
            table.restored(id, at: Double(time))
        }
        #expect(!table.mayRestore(id, at: 10))
        table.detached(id)
        #expect(table.mayRestore(id, at: 10))
    }
}
