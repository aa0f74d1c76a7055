// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// What the work loop does next: domains that were read are reconciled first, one after the other; then comes what the queue has due.
///
/// A value without a clock: times are given in seconds of a clock that does not jump.
struct Schedule {
    /// One step of the work loop.
    enum Step: Hashable {
        /// Bring this domain's attachments to the desired state.
        case reconcile(DomainUUID)
        /// Every domain that was read has been reconciled: log how it ended.
        case summarize
        case run(WorkQueue.Item)
        /// Nothing is due before this time.
        case wait(until: Double)
        case idle
    }

    private var queue = WorkQueue()
    /// What libvirt was asked for and has not answered: nothing is asked for twice, and nothing waits for another's answer.
    private var reads: Set<WorkQueue.Item> = []
    /// Domains that were read and are to be reconciled, in this order.
    private var ready: [DomainUUID] = []
    /// Domains whose hook is being served: the work loop leaves them alone.
    private var hooks: Set<DomainUUID> = []
    private var isReconciling = false
    private var isSummaryDue = false
    /// When next hops were asked last.
    private var confirmed = -Double.infinity

    /// How often a next hop is asked whether it is still there, in seconds: the kernel asks only for what it sends itself, and copies
    /// are not.
    static let confirmInterval = 5.0

    // MARK: Requests

    /// Asks for `item`, not before `delay` seconds from now; see `WorkQueue.request`.
    mutating func request(_ item: WorkQueue.Item, at now: Double, after delay: Double = 0) { queue.request(item, at: now, after: delay) }

    /// Notes that the kernel was changed for a domain: what is asked for it in the next second is merged.
    mutating func changedKernel(for uuid: DomainUUID, at now: Double) { queue.changedKernel(for: .domain(uuid), at: now) }

    /// Notes how long `item` took; see `WorkQueue.tookTime`.
    mutating func tookTime(for item: WorkQueue.Item, at now: Double, seconds: Double) {
        queue.tookTime(for: item, at: now, seconds: seconds)
    }

    /// Puts a domain into the queue of those to reconcile.
    mutating func enqueue(_ uuid: DomainUUID) {
        if !ready.contains(uuid) { ready.append(uuid) }
    }

    /// Makes `summarize` the step that follows when all queued domains have been reconciled.
    mutating func summarizeAtEnd() { isSummaryDue = true }

    // MARK: Steps

    /// The next step. What it returns counts as begun.
    mutating func next(at now: Double) -> Step {
        isReconciling = !ready.isEmpty
        if isReconciling { return .reconcile(ready.removeFirst()) }
        if isSummaryDue {
            isSummaryDue = false
            return .summarize
        }
        return switch queue.next(at: now) {
        case .run(let item): .run(item)
        case .wait(let until): .wait(until: until)
        case .idle: .idle
        }
    }

    /// Whether a domain is being read or reconciled, or will be within the second for which requests are merged.
    func isDomainDue(at now: Double) -> Bool {
        isReconciling || !reads.isEmpty || !ready.isEmpty || queue.hasDomains(before: now + WorkQueue.interval)
    }

    // MARK: What runs beside the work loop

    /// Notes that libvirt is asked for `item`. - Returns: `false` when it has not yet answered the same question.
    mutating func beginReading(_ item: WorkQueue.Item) -> Bool { reads.insert(item).inserted }

    mutating func endReading(_ item: WorkQueue.Item) { reads.remove(item) }

    mutating func beginHook(for uuid: DomainUUID) { hooks.insert(uuid) }

    mutating func endHook(for uuid: DomainUUID) { hooks.remove(uuid) }

    func isInHook(_ uuid: DomainUUID) -> Bool { hooks.contains(uuid) }

    /// Whether next hops are to be asked now. `true` counts as asked.
    mutating func isConfirmationDue(at now: Double) -> Bool {
        guard now - confirmed >= Self.confirmInterval else { return false }
        confirmed = now
        return true
    }
}

/// Lets the work loop sleep until a time or until there is something to do. Belongs to one actor: not Sendable.
final class Wakeup {
    private var continuation: CheckedContinuation<Void, Never>?
    private var isSet = false

    /// Ends the current sleep, or the next one before it begins.
    func wake() {
        isSet = true
        continuation?.resume()
        continuation = nil
    }

    /// Returns when woken. One sleeper at a time.
    func wait(isolation: isolated (any Actor)? = #isolation) async {
        if !isSet {
            await withCheckedContinuation { continuation = $0 }
        }
        isSet = false
    }
}
