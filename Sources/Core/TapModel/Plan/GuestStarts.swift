// SPDX-License-Identifier: LGPL-2.1-or-later

/// Judges from guests that are seen to start whether libvirt calls the qemu hook.
///
/// libvirt calls it twice at each start, `start` before the guest runs and `started` after, and reports the start as an event only
/// then. A start that is reported and of which no call came is evidence that the hook is not called, however well it is
/// installed: libvirtd was not restarted since, has another /etc/libvirt, may not run it, or it ends without a word. Times are
/// seconds of a clock that does not jump. What was seen ends with the daemon: the next start shows it again.
public struct HookWatch: Sendable {
    /// What became of a start.
    public struct Verdict: Hashable, Sendable {
        public var domain: DomainUUID
        /// When libvirt reported it.
        public var start: Double
        public var wasCalled: Bool
    }

    /// How many seconds after the event a busy daemon may read the call.
    public static let patience = 10.0
    /// A call this many seconds before the event belongs to an earlier start, which failed. `started` comes right before the event.
    static let recent = 60.0
    /// A daemon that has run for fewer seconds may have been down when the hook was called.
    public static let settling = 5.0

    private struct Call {
        var time: Double
        /// Whether `started` has come after `start`: what comes next is of another start.
        var isWhole: Bool
    }

    /// When this daemon began to take calls.
    private let since: Double
    /// The starts that the hook reported.
    private var calls: [DomainUUID: [Call]] = [:]
    /// The starts that libvirt reported and that are not judged yet, as they came.
    private var starts: [(domain: DomainUUID, time: Double)] = []

    public init(since: Double) { self.since = since }

    /// When the next start is to be judged; `nil`: there is none.
    public var nextJudgement: Double? { starts.first.map { $0.time + Self.patience } }

    /// Whether a start of this domain is still to be judged.
    public func isJudging(_ domain: DomainUUID) -> Bool { starts.contains { $0.domain == domain } }

    /// The hook says that a domain starts (`isRunning`: has started).
    public mutating func called(for domain: DomainUUID, isRunning: Bool, at now: Double) {
        calls = calls.mapValues { $0.filter { now - $0.time < Self.recent + Self.patience } }.filter { !$0.value.isEmpty }
        if isRunning, var last = calls[domain]?.popLast(), !last.isWhole {
            last.isWhole = true
            last.time = now
            calls[domain, default: []].append(last)
        } else {
            calls[domain, default: []].append(Call(time: now, isWhole: isRunning))
        }
    }

    /// libvirt reports that a domain was started, of which it calls the hook.
    public mutating func started(_ domain: DomainUUID, at now: Double) {
        if now - since >= Self.settling { starts.append((domain, now)) }
    }

    /// Judges the starts that were reported long enough ago. A call is for one start, the first of a domain for its first: they may be read
    /// in any order, but no start has the calls of another.
    public mutating func judge(at now: Double) -> [Verdict] {
        let due = starts.prefix { now - $0.time >= Self.patience }
        starts.removeFirst(due.count)
        return due.map { start in
            var left = (calls[start.domain] ?? []).drop { start.time - $0.time >= Self.recent }
            let call = left.popFirst()
            calls[start.domain] = left.isEmpty ? nil : Array(left)
            return Verdict(domain: start.domain, start: start.time, wasCalled: call != nil)
        }
    }
}

/// Measures for each guest that begins to run here how long before, or after, its taps were in place.
///
/// The hook or libvirt's `started` event report a start; `resumed` reports that the guest runs, and comes before
/// `started` at a cold boot and long after it at the target of a migration. Times are seconds of a clock that does not
/// jump; those of events are when they arrived, some milliseconds after they happened.
public struct ArrivalLog: Sendable {
    /// How many seconds a start waits for its guest to run; longer than the longest migration.
    static let patience = 86_400.0
    /// A guest that was seen to run this many seconds ago did not run because of this start.
    static let recent = 30.0

    private struct Arrival {
        var began: Double
        var placed: Double
    }

    private var arrivals: [DomainUUID: Arrival] = [:]
    private var ran: [DomainUUID: Double] = [:]

    public init() {}

    /// Notes that the guest runs. - Returns: how many seconds its taps were in place by then, if it was waited for.
    public mutating func runs(_ domain: DomainUUID, at now: Double) -> Double? {
        ran = ran.filter { now - $0.value < Self.recent }
        ran[domain] = now
        guard let arrival = arrivals.removeValue(forKey: domain), now - arrival.began < Self.patience else { return nil }
        return now - arrival.placed
    }

    /// Notes that a domain that starts has its taps in place, for the first time in this run.
    /// - Returns: for how many seconds the guest ran without them (negative), if it was seen to run already.
    public mutating func placed(_ domain: DomainUUID, at now: Double) -> Double? {
        if let ran = ran.removeValue(forKey: domain), now - ran < Self.recent { return ran - now }
        arrivals[domain] = Arrival(began: now, placed: now)
        return nil
    }

    /// The domain stopped, or never started.
    public mutating func forget(_ domain: DomainUUID) {
        arrivals[domain] = nil
        ran[domain] = nil
    }
}
