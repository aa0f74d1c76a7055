// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// libvirt's calls of the hook, as far as they came, and what the starts of guests say of those that did not come. Times are seconds of a
/// clock that does not jump.
struct HookRecord {
    /// A start that no call of the hook came for.
    struct Miss {
        var domain: String
        var time: Timestamp
    }

    /// When the hook was called last.
    private(set) var lastCall: Timestamp?
    /// The latest start that no call of the hook came for, while none has come since.
    private(set) var missed: Miss?
    /// Whether libvirt calls the hook, by the guests that start.
    private var watch: HookWatch
    private var arrivals = ArrivalLog()

    /// - Parameter now: since when calls can come.
    init(since now: Double) { watch = HookWatch(since: now) }

    // MARK: Calls

    mutating func called(at time: Timestamp) { lastCall = time }

    /// Notes what the hook was called for.
    mutating func called(for uuid: DomainUUID, _ operation: HookOperation?, at now: Double) {
        switch operation {
        case .start: watch.called(for: uuid, isRunning: false, at: now)
        case .started, .attach: watch.called(for: uuid, isRunning: true, at: now)
        default: break
        }
    }

    /// Notes that the libvirt that is listened to calls the hook. - Returns: whether that is news.
    mutating func isCalled() -> Bool {
        defer { missed = nil }
        return missed != nil
    }

    // MARK: Starts

    /// libvirt reports that a domain was started here: a call has to come within `HookWatch.patience`, or has come.
    mutating func started(_ uuid: DomainUUID, at now: Double) { watch.started(uuid, at: now) }

    /// When the next start is to be judged.
    var nextJudgement: Double? { watch.nextJudgement }

    /// Says of each start whose time is up whether a call came.
    mutating func judge(at now: Double) -> [HookWatch.Verdict] { watch.judge(at: now) }

    /// Whether a domain was started again since, of which nothing is known yet.
    func isJudging(_ uuid: DomainUUID) -> Bool { watch.isJudging(uuid) }

    /// Notes a start that no call came for. - Returns: whether none was known.
    mutating func missed(_ domain: String, at time: Timestamp) -> Bool {
        defer { missed = Miss(domain: domain, time: time) }
        return missed == nil
    }

    // MARK: Arrivals

    /// Notes that a guest runs. - Returns: how many seconds its taps were in place by then, if it was waited for.
    mutating func runs(_ uuid: DomainUUID, at now: Double) -> Double? { arrivals.runs(uuid, at: now) }

    /// Notes that the taps of a domain that starts are in place.
    /// - Returns: for how many seconds the guest ran without them (negative), if it ran already.
    mutating func placed(_ uuid: DomainUUID, at now: Double) -> Double? { arrivals.placed(uuid, at: now) }

    /// Forgets when a domain ran: it stopped, or starts anew.
    mutating func forgetRun(of uuid: DomainUUID) { arrivals.forget(uuid) }
}
